// @ts-check
/** Failures of the API by their kind. */

import { stepTimes } from "./series.js";

/** @typedef {{app: string, error_type: string, message: string, worker: string | null, requests: number, retried: number, first_seen_at: string, last_seen_at: string, filter: Record<string, any>}} Failure */

/** Kinds that have a line of their own in a chart. */
const MOST_LINES = 6;

/**
 * Failures over time as a chart takes them: a line for each kind, the most frequent first.
 *
 * @param {{error_type: string, points: {at: string, value: number}[]}[]} series
 * @param {{seconds: number, step: number}} range
 * @param {number} now s
 * @returns {import("./series.js").ChartData}
 */
export function overTime(series, range, now) {
  const times = stepTimes(range, range.step, now);
  const lines = series.map(({ error_type: label, points }) => {
    const counts = new Map(points.map(({ at, value }) => [Date.parse(at) / 1000, value]));
    return { label, values: times.map((time) => counts.get(time) ?? 0) };
  });
  const sum = (/** @type {{values: number[]}} */ { values }) => values.reduce((all, value) => all + value, 0);
  return { times, lines: lines.sort((a, b) => sum(b) - sum(a)).slice(0, MOST_LINES), isSparse: false };
}

/**
 * One group for each kind, the largest first, with its messages.
 *
 * @param {Failure[]} items
 */
export function byKind(items) {
  /** @type {Map<string, {kind: string, requests: number, retried: number, last_seen_at: string, filter: Record<string, any>, items: Failure[]}>} */
  const groups = new Map();
  for (const item of items) {
    const group = groups.get(item.error_type);
    if (!group) {
      const { app, ...filter } = item.filter;
      groups.set(item.error_type, { kind: item.error_type, requests: item.requests, retried: item.retried, last_seen_at: item.last_seen_at, filter, items: [item] });
      continue;
    }
    group.requests += item.requests;
    group.retried += item.retried;
    group.items.push(item);
    if (item.last_seen_at > group.last_seen_at) group.last_seen_at = item.last_seen_at;
    if (item.filter.since < group.filter.since) group.filter.since = item.filter.since;
  }
  return [...groups.values()].sort((a, b) => b.requests - a.requests);
}
