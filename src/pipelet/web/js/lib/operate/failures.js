// @ts-check
/** Failures of the API by their kind. */

/** @typedef {{app: string, error_type: string, message: string, worker: string | null, requests: number, first_seen_at: string, last_seen_at: string, filter: Record<string, any>}} Failure */

/**
 * One group for each kind, the largest first, with its messages.
 *
 * @param {Failure[]} items
 */
export function byKind(items) {
  /** @type {Map<string, {kind: string, requests: number, last_seen_at: string, filter: Record<string, any>, items: Failure[]}>} */
  const groups = new Map();
  for (const item of items) {
    const group = groups.get(item.error_type);
    if (!group) {
      const { app, ...filter } = item.filter;
      groups.set(item.error_type, { kind: item.error_type, requests: item.requests, last_seen_at: item.last_seen_at, filter, items: [item] });
      continue;
    }
    group.requests += item.requests;
    group.items.push(item);
    if (item.last_seen_at > group.last_seen_at) group.last_seen_at = item.last_seen_at;
    if (item.filter.since < group.filter.since) group.filter.since = item.filter.since;
  }
  return [...groups.values()].sort((a, b) => b.requests - a.requests);
}
