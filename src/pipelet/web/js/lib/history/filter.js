// @ts-check
/**
 * Filters of the history: in the address of the page, for the API, and for requests that the stream tells of.
 *
 *     #/history?state=failed&q=apple&time=7d          // or &from=2026-11-01&to=2026-11-07, days of this browser
 */

/**
 * @typedef {{q: string, state: string, app: string, error_type: string, time: string, from: string, to: string}} Filter
 *   `time`: a key of TIMES, "days" (between `from` and `to`), or ""
 * @typedef {{q?: string, state?: string, app?: string, error_type?: string, since?: string, until?: string}} ApiFilter
 */

/** Seconds and words of the choices of time. @type {Record<string, [number, string]>} */
export const TIMES = {
  "1h": [3_600, "Last hour"],
  "24h": [86_400, "Last 24 hours"],
  "7d": [7 * 86_400, "Last 7 days"],
  "30d": [30 * 86_400, "Last 30 days"],
};
const STATES = new Set(["queued", "running", "succeeded", "failed", "cancelled"]);
const DAY = /^(\d{4})-(\d\d)-(\d\d)$/;

/** The filter that an address names; what is none is left out. @param {Record<string, string>} query @returns {Filter} */
export function readFilter(query) {
  const { q = "", state = "", app = "", error_type = "", time = "", from = "", to = "" } = query;
  const [first, last] = [from, to].map((day) => (DAY.test(day) ? day : ""));
  return {
    q: q.trim().slice(0, 200),
    state: STATES.has(state) ? state : "",
    app,
    error_type,
    time: first || last || time === "days" ? "days" : time in TIMES ? time : "",
    from: first,
    to: last,
  };
}

/** Whether it leaves anything out. @param {Filter} filter */
export const isFiltered = ({ time, from, to, ...others }) =>
  Object.values(others).some(Boolean) || (time === "days" ? Boolean(from || to) : Boolean(time));

/** As the API takes it, with times of now. @param {Filter} filter @param {number} [now] ms @returns {ApiFilter} */
export function apiFilter({ q, state, app, error_type, time, from, to }, now = Date.now()) {
  const since = time === "days" ? midnight(from) : time ? now - 1000 * TIMES[time][0] : null;
  const until = time === "days" ? midnight(to, 1) : null;
  const all = { q, state, app, error_type, since: iso(since), until: iso(until) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
}

/** When a day begins here, in ms. @param {string} day @param {number} [later] days */
function midnight(day, later = 0) {
  const found = DAY.exec(day);
  return found && new Date(Number(found[1]), Number(found[2]) - 1, Number(found[3]) + later).getTime();
}

/** @param {number | null} time ms */
const iso = (time) => (time === null || Number.isNaN(time) ? "" : new Date(time).toISOString());

/** Whether a request that has just come or changed is one of the list. @param {any} item @param {ApiFilter} filter */
export function fits(item, filter) {
  return isInState(item, filter) && isAbout(item, filter) && isInTime(item, filter);
}

/** What of a filter a change of the request may alter. @param {any} item @param {ApiFilter} filter */
export const isInState = (item, { state, error_type }) =>
  (!state || item.state === state) && (!error_type || item.error_type === error_type);

/** @param {any} item @param {ApiFilter} filter */
const isAbout = (item, { app, q }) =>
  (!app || item.app === app) &&
  (!q || item.id === q || (item.input?.prompt ?? "").toLowerCase().includes(q.toLowerCase()));

/** @param {any} item @param {ApiFilter} filter */
export const isInTime = ({ submitted_at }, { since, until }) =>
  (!since || Date.parse(submitted_at) >= Date.parse(since)) && (!until || Date.parse(submitted_at) < Date.parse(until));

/**
 * The filter of a bulk action on all that match: requests that come later are not meant, so they do not count.
 *
 * @param {ApiFilter} filter @param {string} newest when the newest request that is shown was submitted
 * @returns {ApiFilter}
 */
export function untilShown(filter, newest) {
  const end = iso(Date.parse(newest) + 1); // times are told in whole milliseconds
  return filter.until && filter.until < end ? filter : { ...filter, until: end };
}
