// @ts-check
/** Filters of requests: in the address of the page, for the API, and in words. */

import { dateTime } from "../format.js";

/** @typedef {Partial<Record<"state" | "app" | "user" | "key" | "worker" | "priority" | "error_type" | "since" | "until" | "q", string>> & {retried?: boolean}} Filter */

const NAMES = /** @type {const} */ (["state", "app", "user", "key", "worker", "priority", "error_type", "since", "until", "q"]);
const EVERYBODY = "*";
const STATES = new Set(["queued", "running", "succeeded", "failed", "cancelled"]);

/** The filter that an address names; what it does not know is left out. @param {Record<string, string>} query @returns {Filter} */
export function readFilter(query) {
  /** @type {Filter} */
  const found = {};
  for (const name of NAMES) {
    const value = (query[name] ?? "").trim();
    if (!value || (name === "state" && !STATES.has(value)) || (name === "priority" && !/^-?\d+$/.test(value))) continue;
    found[name] = value;
  }
  return found;
}

/** As the API takes it: the requests of all users, unless it names one. @param {Filter} filter */
export const apiFilter = (filter) => ({ ...filter, user: filter.user || EVERYBODY });

/** As the body of a bulk action has it, where a priority is a number. @param {Record<string, any>} filter */
export function bulkFilter(filter) {
  /** @type {Record<string, any>} */
  const found = apiFilter(filter);
  if (found.priority !== undefined) found.priority = Number(found.priority);
  return found;
}

/** The filter of a failure group, as an address names it. @param {Record<string, any>} filter @returns {Record<string, string>} */
export function addressOf(filter) {
  const found = Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, String(value)]));
  delete found.retried; // a list shows all of them
  if (found.user === EVERYBODY) delete found.user;
  if (typeof filter.since === "number") found.since = new Date(1000 * filter.since).toISOString();
  return found;
}

/** Times are ISO 8601 texts in addresses, and seconds in the filters of the API. @param {string} value */
const timeOf = (value) => dateTime(Number.isNaN(Number(value)) ? value : new Date(1000 * Number(value)).toISOString());

/** @type {Record<string, (value: string) => string>} */
const WORDS = {
  error_type: (value) => `with the error ${value}`,
  app: (value) => `of the app ${value}`,
  user: (value) => `of the user ${value}`,
  key: (value) => `of the key ${value}`,
  worker: (value) => `of the worker ${value}`,
  priority: (value) => `with priority ${value}`,
  retried: (value) => `that were ${value === "true" ? "" : "not "}retried`,
  since: (value) => `since ${timeOf(value)}`,
  until: (value) => `before ${timeOf(value)}`,
  q: (value) => `with “${value}” in the prompt`,
};

/** "failed requests of the app a, of the user ada"; "all requests". @param {Filter} filter */
export function describeFilter(filter) {
  const about = Object.entries(WORDS).flatMap(([name, words]) => {
    const value = filter[/** @type {keyof Filter} */ (name)];
    return value !== undefined && value !== "" && value !== EVERYBODY ? [words(String(value))] : [];
  });
  const head = filter.state ? `${filter.state} requests` : "requests";
  return about.length ? `${head} ${about.join(", ")}` : filter.state ? head : "all requests";
}
