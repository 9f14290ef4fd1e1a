// @ts-check
/** Limits of a user and a key, and how much of each is used, as lines to show. */

import { bytes, number } from "../format.js";

/**
 * @typedef {{name: string, hint: string, used: number | null, most: number | null, text: string}} LimitLine
 *   `used` and `most`: for a bar, null without one; `text`: "3 of 1,000"
 */

/** @type {[string, string, string, (value: number) => string][]} */
const USER_LIMITS = [
  ["max_queued_images", "queued_images", "Images in the queue", number],
  ["max_running_images", "running_images", "Images in generation", number],
  ["max_stored_bytes", "stored_bytes", "Stored files", bytes],
];
/** @type {Record<string, string>} */
const HINTS = {
  max_queued_images: "A request with more images is refused until some are generated.",
  max_running_images: "Requests beyond it wait.",
  max_stored_bytes: "New requests are refused while it is full. Delete requests to make room.",
};

/**
 * @param {any} info of `GET /api/v1/session`
 * @returns {{user: LimitLine[], key: LimitLine[]}}  a key has lines only for limits of its own
 */
export function limitLines({ user_limits: limits, used_by_user: used, limits: ofKey, used: usedByKey }) {
  const user = USER_LIMITS.map(([name, count, words, format]) =>
    line(words, limits[name] === null ? "" : HINTS[name], used[count], limits[name], format),
  );
  user.push(...rateLines(limits, used));
  const key = USER_LIMITS.filter(([name]) => (ofKey[name] ?? null) !== null).map(([name, count, words, format]) =>
    line(words, HINTS[name], usedByKey[count] ?? 0, ofKey[name], format),
  );
  if (ofKey.max_priority !== null) key.push(plain("Largest priority", number(ofKey.max_priority)));
  return { user, key };
}

/** @param {any} limits @param {any} used @returns {LimitLine[]} */
function rateLines(limits, used) {
  const lines = [];
  if (limits.max_submits_per_second === null) lines.push(plain("Submits a second", "no limit"));
  else {
    const spent = limits.submit_burst - (used.submits_left ?? limits.submit_burst);
    const text = `${number(limits.max_submits_per_second)} a second, ${number(limits.submit_burst)} at once`;
    lines.push({ name: "Submits", hint: "", used: spent, most: limits.submit_burst, text });
  }
  lines.push(plain("Largest priority", limits.max_priority === null ? "no limit" : number(limits.max_priority)));
  if (limits.max_webhooks_per_minute !== null) lines.push(plain("Webhooks a minute", number(limits.max_webhooks_per_minute)));
  return lines;
}

/** @param {string} name @param {string} text @returns {LimitLine} */
const plain = (name, text) => ({ name, hint: "", used: null, most: null, text });

/** @param {string} name @param {string} hint @param {number | null} used @param {number | null} most @param {(value: number) => string} format @returns {LimitLine} */
function line(name, hint, used, most, format) {
  // Without a limit, some figures are not counted.
  if (most === null) return plain(name, used ? `${format(used)}, no limit` : "no limit");
  return { name, hint, used: used ?? 0, most, text: `${format(used ?? 0)} of ${format(most)}` };
}

/** How full a line is: "" below three quarters, then "near", then "full". @param {LimitLine} line */
export const fill = ({ used, most }) => (!most || used === null ? "" : used >= most ? "full" : used >= 0.75 * most ? "near" : "");
