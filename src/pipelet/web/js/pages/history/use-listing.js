// @ts-check
/** The list of a filter, live, and as it was when a person comes back to it. */

import { useStore } from "../../components/hooks.js";
import { useRequests } from "../../components/live.js";
import { api, requests } from "../../context.js";
import { apiFilter, fits, isInState } from "../../lib/history/filter.js";
import { createListing, rowsOf } from "../../lib/history/listing.js";
import { useEffect, useMemo } from "../../../vendor/preact.js";

const PAGE = 50;
const RETRY_MS = 3_000;

/** The last list of this tab: older pages are there when a person comes back from a request. */
let last = { key: "", filter: /** @type {import("../../lib/history/filter.js").ApiFilter} */ ({}), listing: createListing(async () => ({ items: [], next: null })) };

/** @param {string} key @param {import("../../lib/history/filter.js").Filter} filter */
function listingOf(key, filter) {
  if (last.key === key) return last;
  last.listing.close();
  const wanted = apiFilter(filter);
  const load = (/** @type {string | null} */ after, /** @type {AbortSignal} */ signal) =>
    api.get("requests", { query: { ...wanted, after, limit: PAGE }, signal });
  last = { key, filter: wanted, listing: createListing(load) };
  return last;
}

/** @param {string} user @param {import("../../lib/history/filter.js").Filter} filter */
export function useListing(user, filter) {
  const key = JSON.stringify([user, filter]);
  const { listing, filter: wanted } = useMemo(() => listingOf(key, filter), [key]);
  const state = useStore(listing.state);
  useRequests();
  const listChanges = requests.listChanges();
  useEffect(() => {
    listing.reload();
    return listing.close;
  }, [listing, listChanges]);
  useEffect(() => {
    if (!state.error?.isTemporary) return;
    const timer = setTimeout(listing.reload, Math.max(RETRY_MS, 1000 * (state.error.retryAfter ?? 0)));
    return () => clearTimeout(timer);
  }, [state.error]);
  const rows = rowsOf(state, requests, (item) => fits(item, wanted), (item) => isInState(item, wanted));
  return { ...state, rows, wanted, listing };
}
