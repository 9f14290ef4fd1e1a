// @ts-check
/** Usage by day and app, as a chart and a table show it. Days are UTC, as `2026-11-30`. */

/**
 * @typedef {"images" | "requests" | "device_seconds" | "megapixels"} Figure
 * @typedef {{day: string, app: string, requests: number, images: number, megapixels: number, device_seconds: number,
 *   failed: number, cancelled: number}} UsageItem
 * @typedef {{app: string, values: number[], total: number}} Layer  of a stacked chart, a value for each day
 */

const DAY_MS = 86_400_000;
const DAY = /^\d{4}-\d\d-\d\d$/;
/** Days of the choices of a period. @type {Record<string, number>} */
export const PERIODS = { "7d": 7, "30d": 30, "90d": 90, "365d": 365 };
/** Apps that a chart tells apart; those with less are added up. */
const MOST_LAYERS = 5;
export const OTHERS = "Others";

/** @param {number} [now] ms */
export const today = (now = Date.now()) => new Date(now).toISOString().slice(0, 10);

/** @param {string} day @param {number} count days later; negative: earlier */
const addDays = (day, count) => today(Date.parse(day) + count * DAY_MS);

/**
 * The first and the last day that an address names; by default the last 30.
 *
 * @param {Record<string, string>} query @param {number} [now] ms
 * @returns {{period: string, from: string, to: string}}  `period`: a key of PERIODS, or "days"
 */
export function readPeriod({ period = "", from = "", to = "" }, now = Date.now()) {
  const last = today(now);
  if (DAY.test(from) && DAY.test(to) && isDay(from) && isDay(to)) {
    const [first, end] = from <= to ? [from, to] : [to, from];
    return { period: "days", from: first, to: end };
  }
  const known = period in PERIODS ? period : "30d";
  return { period: known, from: addDays(last, 1 - PERIODS[known]), to: last };
}

/** @param {string} day */
const isDay = (day) => !Number.isNaN(Date.parse(day));

/** Every day from one to another, both included. @param {string} from @param {string} to @returns {string[]} */
export function daysBetween(from, to) {
  const count = Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;
  return Array.from({ length: Math.max(count, 0) }, (_, k) => addDays(from, k));
}

/** Layers of a stacked chart, the largest app first. @param {UsageItem[]} items @param {string[]} days @param {Figure} figure @returns {Layer[]} */
export function layersOf(items, days, figure) {
  const place = new Map(days.map((day, k) => [day, k]));
  /** @type {Map<string, Layer>} */
  const layers = new Map();
  for (const item of items) {
    const at = place.get(item.day);
    if (at === undefined || !item[figure]) continue;
    const layer = layers.get(item.app) ?? { app: item.app, values: days.map(() => 0), total: 0 };
    layer.values[at] += item[figure];
    layer.total += item[figure];
    layers.set(item.app, layer);
  }
  const sorted = [...layers.values()].sort((a, b) => b.total - a.total || (a.app < b.app ? -1 : 1));
  return sorted.length <= MOST_LAYERS ? sorted : [...sorted.slice(0, MOST_LAYERS - 1), added(sorted.slice(MOST_LAYERS - 1))];
}

/** @param {Layer[]} layers @returns {Layer} */
function added(layers) {
  const values = layers[0].values.map((_, k) => layers.reduce((sum, { values }) => sum + values[k], 0));
  return { app: OTHERS, values, total: layers.reduce((sum, { total }) => sum + total, 0) };
}

/** For each layer the top of its bar, as it stands on the layers before it. @param {Layer[]} layers @returns {number[][]} */
export function stack(layers) {
  /** @type {number[][]} */
  const tops = [];
  for (const { values } of layers) {
    const below = tops.at(-1);
    tops.push(values.map((value, k) => value + (below?.[k] ?? 0)));
  }
  return tops;
}

/**
 * Figures added up by a field, those with the most images first; by day, the newest first.
 *
 * @param {UsageItem[]} items @param {"day" | "app"} field @returns {UsageItem[]}
 */
export function sumBy(items, field) {
  /** @type {Map<string, any>} */
  const sums = new Map();
  for (const item of items) {
    const sum = sums.get(item[field]);
    if (!sum) sums.set(item[field], { ...item });
    else for (const name of FIGURES) sum[name] += item[name];
  }
  const found = [...sums.values()];
  return field === "day" ? found.sort((a, b) => (a.day < b.day ? 1 : -1)) : found.sort((a, b) => b.images - a.images || b.requests - a.requests);
}

const FIGURES = /** @type {const} */ (["requests", "images", "megapixels", "device_seconds", "failed", "cancelled"]);

/** "Nov 30". @param {string} day */
export const dayLabel = (day) =>
  new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" }).format(new Date(day));
