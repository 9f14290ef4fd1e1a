// @ts-check
/**
 * What the screens of operators share:
 *
 * - `useOverview()`: the last event of the overview's stream, null before the first
 * - `usePages(…)`: a list of the API, page by page
 * - `act(…)`: an act, and a message about its end
 * - `columnIf(…)`: a column of a table that not every key sees
 */

import { useLoad, useStore } from "../../components/hooks.js";
import { toast, orToast } from "../../components/toast.js";
import { api, session } from "../../context.js";
import { can } from "../../lib/session.js";
import { createStore } from "../../lib/store.js";
import { createStream } from "../../lib/stream.js";
import { useCallback, useEffect, useRef, useState } from "../../../vendor/preact.js";

/** Pages without a match that are read before a person is asked whether to look further: 2,000 requests each. */
const MOST_EMPTY_PAGES = 50;
const ENOUGH = 10;
const RELOAD_MS = 5_000;
/** For what costs the service more, and changes less. */
export const SELDOM_MS = 20_000;

const overview = createStore(/** @type {any} */ (null));

const stream = createStream({
  url: () => api.url("operate/stream"),
  onEvent: (name, data) => name === "overview" && overview.set(data),
  onRefused: (error) => error.status === 401 && session.ended(),
  // As for the stream of requests, which keys without `generate` do not have.
  onOpen: () => void session.load(),
});

/** Keep the stream open while a component is shown, and the tab is visible. @param {boolean} isWanted */
export function useOverviewStream(isWanted) {
  useEffect(() => {
    if (!isWanted) return;
    stream.open();
    return () => {
      stream.close();
      overview.set(null);
    };
  }, [isWanted]);
  return useStore(stream.state);
}

export const reconnect = stream.reconnect;
export const useOverview = () => useStore(overview);

/** Whether the key has a scope. @param {string} scope */
export const useScope = (scope) => can(useStore(session.state).info, scope);

/** Read again when the queue has changed, at most every few seconds. @param {() => void} reload @param {boolean} isOn @param {number} [every] ms */
export function useReloadOnChange(reload, isOn, every = RELOAD_MS) {
  const found = useOverview();
  const last = useRef({ at: Date.now(), overview: found });
  useEffect(() => {
    if (!isOn || !found || found === last.current.overview) return;
    const wait = Math.max(last.current.at + every - Date.now(), 0);
    const timer = setTimeout(() => {
      last.current = { at: Date.now(), overview: found };
      reload();
    }, wait);
    return () => clearTimeout(timer);
  }, [found, isOn]);
}

/**
 * A list of the API: `items` of the pages that were read, `more()` reads the next one, and `isEnd` says that there is none.
 *
 * @param {string} path @param {Record<string, any>} query
 */
export function usePages(path, query) {
  const key = JSON.stringify([path, query]);
  const [further, setFurther] = useState(/** @type {{key: string, items: any[], next: string | null} | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const first = useLoad((signal) => readPages(path, query, null, signal), [key]);
  const rest = further?.key === key ? further : null;
  const next = rest ? rest.next : (first.data?.next ?? null);
  const more = async () => {
    setBusy(true);
    const page = await orToast(readPages(path, query, next));
    if (page) setFurther({ key, items: [...(rest?.items ?? []), ...page.items], next: page.next });
    setBusy(false);
  };
  const reload = useCallback(() => {
    setFurther(null);
    first.reload();
  }, []);
  const items = first.data && [...first.data.items, ...(rest?.items ?? [])];
  return { items, error: first.error, isLoading: first.isLoading, isBusy, isEnd: next === null, isFirst: !rest, more, reload };
}

/** Pages until there is enough to show. @param {string} path @param {any} query @param {string | null} after @param {AbortSignal} [signal] */
async function readPages(path, query, after, signal) {
  /** @type {any[]} */
  const items = [];
  for (let count = 0; ; count += 1) {
    const page = await api.get(path, { query: { ...query, after }, signal });
    items.push(...page.items);
    after = page.next;
    if (after === null || items.length >= ENOUGH || count >= MOST_EMPTY_PAGES) return { items, next: after };
  }
}

/** @typedef {import("../../components/table.js").Column} Column */

/** @param {boolean} isShown @param {Column} column @returns {Column[]} */
export const columnIf = (isShown, column) => (isShown ? [column] : []);

/** @param {() => Promise<any>} run @param {string} done what to say afterwards @returns {Promise<boolean>} whether it was done */
export async function act(run, done) {
  const isDone = (await orToast(run().then(() => true))) ?? false;
  if (isDone) toast(done);
  return isDone;
}
