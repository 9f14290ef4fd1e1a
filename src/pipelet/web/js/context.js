// @ts-check
/**
 * What every page uses, one of each:
 *
 * - `api`: calls of `/api/v1` (lib/api.js)
 * - `session`: who is signed in (lib/session.js)
 * - `requests`: the newest requests, live (lib/requests.js)
 * - `stream`: the stream that feeds them (lib/stream.js)
 * - `draft`: what is typed into the form of the first page (lib/draft.js)
 */

import { announce, toast } from "./components/toast.js";
import { createApi } from "./lib/api.js";
import { createDraft } from "./lib/draft.js";
import { createRequests } from "./lib/requests.js";
import { createSession } from "./lib/session.js";
import { createStream } from "./lib/stream.js";

const MOST_PREVIEWS = 8;

// The page is at /ui/, perhaps behind a prefix that a proxy removes.
export const api = createApi({ base: new URL("../api/v1/", location.href).href, onSignedOut: () => session.ended() });

export const draft = createDraft();

export const session = createSession(api, {
  onSignOut: () => {
    draft.clear();
    history.replaceState(null, "", location.pathname); // the next user starts at the first page
    announce("");
  },
  onRefused: (error) => toast(error.message, { kind: "error" }),
  onUpgrade: (version) =>
    toast(`Pipelet was upgraded to ${version}.`, {
      seconds: Infinity,
      action: { label: "Load the new page", run: () => location.reload() },
    }),
});

export const requests = createRequests();

/** How many components show the previews of each request. @type {Map<string, number>} */
const watchers = new Map();
let watched = "";

export const stream = createStream({
  url: () => api.url("stream", { previews: watched }),
  onEvent: (name, data) => requests.take(name, data),
  onRefused: (error) => error.status === 401 && session.ended(),
  // The service may have been restarted in another version, or the limits of the key may have changed.
  onOpen: () => void session.load(),
});

/** Ask for previews of a request, until the function that this returns is called. @param {string} id */
export function watchPreviews(id) {
  count(id, 1);
  return () => count(id, -1);
}

/** @param {string} id @param {number} change */
function count(id, change) {
  watchers.set(id, (watchers.get(id) ?? 0) + change);
  if (!watchers.get(id)) watchers.delete(id);
  queueMicrotask(() => {
    const wanted = [...watchers.keys()].slice(-MOST_PREVIEWS).sort().join(",");
    if (wanted === watched) return;
    const isMore = wanted.length > watched.length;
    watched = wanted;
    if (isMore) stream.reconnect(); // previews that are not shown any more end with their requests
  });
}
