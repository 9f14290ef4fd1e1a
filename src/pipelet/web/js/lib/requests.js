// @ts-check
/**
 * The newest requests of the user, as the stream tells them. Pages use the one of context.js:
 *
 *     requests.get(id); requests.newest();           // items as in GET /api/v1/requests
 *     requests.subscribe(() => …);                   // after each change, at most once a frame
 *     requests.put(item);                            // what a page has read or submitted itself
 *
 * In components: `useRequests()` and `useRequest(id)` of components/live.js.
 */

/** @typedef {Record<string, any> & {id: string, state: string, submitted_at: string}} RequestItem */

/** Requests that are kept in memory; older ones that have ended go first. */
const MOST = 100;
/** Maximum requests that wait or run. The stream sends the others again when they change. */
const MOST_OPEN = 1_000;
/** Requests over the maximum before the oldest are removed. */
const SLACK = 20;
/** Ids of deleted requests that are remembered, for pages that show one of them. */
const MOST_DELETED = 100;
const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** @param {{state: string}} item */
export const hasEnded = (item) => ENDED.has(item.state);

/** @type {Record<string, string>} */
const CANCELLED = {
  operator: "by an operator",
  connection: "because its client closed the connection",
  service: "because the service ended the call that waited for it",
};

/** The text after "Cancelled", such as "by you"; empty if it is not known who cancelled. @param {any} item @param {string} viewer the user who looks */
export const cancelReason = ({ cancelled_by: by, user }, viewer) => (by === "user" ? (user === viewer ? "by you" : "by its user") : CANCELLED[by] ?? "");

/** @param {{schedule?: (run: () => void) => void}} [options] */
export function createRequests({ schedule = (run) => void requestAnimationFrame(run) } = {}) {
  /** @type {Map<string, RequestItem>} */
  const items = new Map();
  /** @type {Map<string, {index: number, step: number, image: string}[]>} */
  const previews = new Map();
  /** @type {Set<string>} */
  const deleted = new Set();
  /** @type {Map<string, any>} */
  const apps = new Map();
  /** @type {Set<() => void>} */
  const listeners = new Set();
  let listChanges = 0;
  let isScheduled = false;
  let atMost = MOST + SLACK;
  /** @type {RequestItem[] | null} */
  let sorted = null;

  function changed() {
    sorted = null;
    if (isScheduled) return;
    isScheduled = true;
    schedule(() => {
      isScheduled = false;
      for (const listener of [...listeners]) listener();
    });
  }

  function trim() {
    const open = newest().filter((item) => !hasEnded(item));
    for (const { id } of open.slice(MOST_OPEN)) forget(id);
    for (const item of [...newest()].reverse()) {
      if (items.size <= MOST) break;
      if (hasEnded(item)) forget(item.id);
    }
    atMost = Math.max(MOST, items.size) + SLACK;
  }

  /** @param {string} id */
  function forget(id) {
    items.delete(id);
    previews.delete(id);
  }

  function newest() {
    sorted ??= [...items.values()].sort((a, b) => (a.submitted_at < b.submitted_at ? 1 : -1));
    return sorted;
  }

  /** @param {RequestItem} item */
  function put(item) {
    items.set(item.id, { ...items.get(item.id), ...item });
    deleted.delete(item.id);
    if (hasEnded(item)) {
      previews.delete(item.id);
      atMost = Math.max(MOST + SLACK, atMost - 1); // the queue became shorter
    }
    sorted = null;
    if (items.size > atMost) trim();
    changed();
  }

  return {
    newest,
    put,
    /** @param {string} id */
    get: (id) => items.get(id),
    /** @param {string} id */
    isDeleted: (id) => deleted.has(id),
    /** The newest preview of each image of a request, by index. @param {string} id */
    previews: (id) => previews.get(id) ?? [],
    /** What the stream last told of an app: `paused_at` and `workers`. @param {string} name */
    app: (name) => apps.get(name),
    /** Counts events after which a list has to be read again. */
    listChanges: () => listChanges,
    /** @param {string} id */
    remove(id) {
      forget(id);
      deleted.add(id);
      if (deleted.size > MOST_DELETED) deleted.delete([...deleted][0]);
      changed();
    },
    clear() {
      for (const each of [items, previews, deleted, apps]) each.clear();
      atMost = MOST + SLACK;
      changed();
    },
    /** Take an event of the stream. @param {string} name @param {any} data */
    take(name, data) {
      if (name === "request") put(data);
      else if (name === "deleted") this.remove(data.id);
      else if (name === "preview") {
        const item = items.get(data.id);
        if (!item || hasEnded(item)) return; // nothing would remove a late preview
        const found = [...(previews.get(data.id) ?? [])];
        found[data.index] = data;
        previews.set(data.id, found);
        changed();
      } else if (name === "app") {
        apps.set(data.app, data);
        changed();
      } else if (name === "list") {
        listChanges += 1;
        changed();
      }
    },
    /** @param {() => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** @typedef {ReturnType<typeof createRequests>} Requests */
