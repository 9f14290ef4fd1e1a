// @ts-check
/**
 * The pages of a list that have been read, newest first, and what the stream tells of it.
 *
 *     const listing = createListing((after, signal) => api.get("requests", { query: { ...filter, after }, signal }));
 *     listing.state.subscribe(({ items, next, error, isBusy }) => …);
 *     listing.reload(); listing.older();
 *     rowsOf(listing.state.get(), requests, (item) => fits(item, filter));      // with what has changed since
 */

import { hasEnded } from "../requests.js";
import { createStore } from "../store.js";

/** Pages without an item that are read in a row: a filter that finds few of many requests is searched in steps. */
const MOST_EMPTY = 25;
/** Maximum items of a list that is read again. A longer one is cut to its first page. */
const MOST = 1_000;

/**
 * @typedef {import("../requests.js").RequestItem} Item
 * @typedef {{items: Item[], next: string | null}} Page
 * @typedef {Page & {isLoaded: boolean, isBusy: boolean, error: any}} ListingState
 *   `isLoaded`: whether there was ever a first page; `error`: of the last reading
 */

/** @param {(after: string | null, signal: AbortSignal) => Promise<Page>} load */
export function createListing(load) {
  const state = createStore(
    /** @type {ListingState} */ ({ items: [], next: null, isLoaded: false, isBusy: false, error: null }),
  );
  /** @type {AbortController | null} */
  let reading = null;

  /** @param {string | null} after @param {(page: Page, old: ListingState) => Page} join */
  async function read(after, join) {
    reading?.abort();
    const mine = (reading = new AbortController());
    state.update({ isBusy: true });
    try {
      const page = await readPage(load, after, mine.signal);
      if (reading !== mine) return;
      state.set({ ...join(page, state.get()), isLoaded: true, isBusy: false, error: null });
    } catch (error) {
      if (reading !== mine || mine.signal.aborted) return;
      state.update({ isBusy: false, error });
    }
  }

  return {
    state,
    /** Read the first page again. */
    reload: () => read(null, refresh),
    /** Read the page after the last one. */
    older: () => read(state.get().next, append),
    /** Put a request as it is now in its place. @param {Item} item */
    replace(item) {
      state.update({ items: state.get().items.map((each) => (each.id === item.id ? item : each)) });
    },
    close() {
      reading?.abort();
      reading = null;
    },
  };
}

/** @typedef {ReturnType<typeof createListing>} Listing */

/** @param {(after: string | null, signal: AbortSignal) => Promise<Page>} load @param {string | null} after @param {AbortSignal} signal */
async function readPage(load, after, signal) {
  let page = await load(after, signal);
  for (let k = 1; k < MOST_EMPTY && !page.items.length && page.next; k += 1) page = await load(page.next, signal);
  return { items: page.items, next: page.next };
}

/** @param {Page} page @param {Page} old @returns {Page} */
function append(page, old) {
  const known = new Set(old.items.map((item) => item.id));
  return { items: [...old.items, ...page.items.filter((item) => !known.has(item.id))], next: page.next };
}

/** A first page over what was there. Older pages stay, unless there may be requests in between. @param {Page} page @param {Page} old @returns {Page} */
function refresh(page, old) {
  const fresh = new Set(page.items.map((item) => item.id));
  const last = page.items.at(-1);
  const isJoined = last !== undefined && page.next !== null && old.items.some((item) => fresh.has(item.id));
  if (!isJoined) return page;
  const place = old.items.findIndex((item) => item.id === last.id);
  const tail = place < 0 ? old.items.filter((item) => item.submitted_at < last.submitted_at) : old.items.slice(place + 1);
  const older = tail.filter((item) => !fresh.has(item.id));
  const isLong = page.items.length + older.length > Math.max(MOST, old.items.length);
  return older.length && !isLong ? { items: [...page.items, ...older], next: old.next } : page;
}

/**
 * The list as it is now: requests that have come or changed since it was read, without those that are gone.
 *
 * @param {Page} page
 * @param {{newest: () => Item[], get: (id: string) => Item | undefined, isDeleted: (id: string) => boolean}} live
 * @param {(item: Item) => boolean} fits  whether a new request is one of the list
 * @param {(item: Item) => boolean} stillFits  whether one of the list stays in it
 * @returns {Item[]}
 */
export function rowsOf({ items, next }, live, fits, stillFits = fits) {
  const known = new Set(items.map((item) => item.id));
  const end = next === null ? "" : (items.at(-1)?.submitted_at ?? "");
  const come = live.newest().filter((item) => !known.has(item.id) && item.submitted_at >= end && fits(item));
  const now = items.filter((item) => !live.isDeleted(item.id)).map((item) => newer(item, live.get(item.id)));
  const all = [...come, ...now.filter(stillFits)];
  return come.length ? all.sort((a, b) => (a.submitted_at < b.submitted_at ? 1 : a.submitted_at > b.submitted_at ? -1 : 0)) : all;
}

/** @param {Item} read @param {Item | undefined} told */
const newer = (read, told) => (told && (hasEnded(told) || !hasEnded(read)) ? told : read);
