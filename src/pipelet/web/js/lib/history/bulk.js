// @ts-check
/** Bulk actions: the requests that each applies to, and the texts of its dialogs and messages. */

import { number, plural } from "../format.js";

/**
 * @typedef {"retry" | "cancel" | "delete"} Verb
 * @typedef {Record<string, number>} Counts  how many requests are in each state
 */

/** `theirs`: the effect on requests of other users. @type {Record<Verb, {word: string, done: string, states: string[], effect: string, theirs: (count: number) => string}>} */
const VERBS = {
  retry: {
    word: "Retry",
    done: "queued again",
    states: ["failed", "cancelled"],
    effect: "Each is queued once more as a new request with the same seed, and counts against your limits.",
    theirs: (count) => `${count === 1 ? "A copy is queued for the same user" : "Copies are queued for the same users"}, under new ids and within the limits of their keys.`,
  },
  cancel: {
    word: "Cancel",
    done: "cancelled",
    states: ["queued", "running"],
    effect: "",
    theirs: (count) => `${count === 1 ? "It ends" : "They end"} without images, and webhooks are sent. This cannot be taken back.`,
  },
  delete: {
    word: "Delete",
    done: "deleted",
    states: ["queued", "succeeded", "failed", "cancelled"],
    effect: "Their images are deleted, too, and links to them stop working. This cannot be undone.",
    theirs: (count) =>
      `${count === 1 ? "The request, its input and its images are gone for its user" : "The requests, their inputs and their images are gone for their users"}, too. This cannot be taken back.`,
  },
};

/** What the states of requests that an action leaves alone are called. @type {Record<string, string>} */
const LEFT = { queued: "waiting", running: "running", succeeded: "done", failed: "failed", cancelled: "cancelled" };

/** "Delete". @param {Verb} verb */
export const word = (verb) => VERBS[verb].word;

/** The actions that apply to a state; without a state, all of them. @param {string | undefined} state @returns {Verb[]} */
export const verbsFor = (state) => /** @type {Verb[]} */ (Object.keys(VERBS)).filter((verb) => !state || VERBS[verb].states.includes(state));

/** Whether an action applies to a request. A request that was retried is not retried again. @param {Verb} verb @param {{state: string, retried_as?: string | null}} item */
export const fits = (verb, item) => VERBS[verb].states.includes(item.state) && !(verb === "retry" && item.retried_as);

/** The filter of the requests that an action changes. @param {Verb} verb @param {Record<string, any>} filter */
export const filterFor = (verb, filter) => (verb === "retry" ? { ...filter, retried: false } : filter);

/** @param {{state: string}[]} items @returns {Counts} */
export function countStates(items) {
  /** @type {Counts} */
  const counts = {};
  for (const { state } of items) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/** @param {Counts} counts @param {string[]} [states] */
export const sum = (counts, states = Object.keys(LEFT)) => states.reduce((total, state) => total + (counts[state] ?? 0), 0);

/** How many requests an action fits. @param {Verb} verb @param {Counts} counts */
export const fitting = (verb, counts) => sum(counts, VERBS[verb].states);

/**
 * "Retry all 37 that match"; without the number if the list has further pages.
 *
 * @param {Verb} verb @param {number} shown items of the list @param {boolean} isAll whether they are all that match
 */
export function allLabel(verb, shown, isAll) {
  if (!isAll) return `${VERBS[verb].word} all that match…`;
  return shown === 1 ? `${VERBS[verb].word} the one that matches…` : `${VERBS[verb].word} all ${number(shown)} that match…`;
}

/**
 * What to ask before: title, lines of text, and the words of the button.
 *
 * @param {Verb} verb @param {Counts} counts @param {{kept?: number, isForOthers?: boolean}} [more]
 *   `kept`: how many of them are to be kept; `isForOthers`: an operator changes requests of other users
 */
export function question(verb, counts, { kept = 0, isForOthers = false } = {}) {
  const { word, states, effect, theirs } = VERBS[verb];
  const count = fitting(verb, counts);
  const lines = isForOthers ? [theirs(count)] : verb === "cancel" ? cancelLines(counts) : [count === 1 ? singular(effect) : effect];
  if (verb === "delete" && counts.queued) lines.push(`${plural(counts.queued, "request")} in the queue ${counts.queued === 1 ? "is" : "are"} cancelled first.`);
  if (verb === "delete" && kept) lines.push(`${plural(kept, "request")} that you keep ${kept === 1 ? "is" : "are"} among them.`);
  const left = Object.keys(LEFT).filter((state) => !states.includes(state) && counts[state]);
  if (left.length) {
    const words = left.map((state) => `${number(counts[state])} ${LEFT[state]}`).join(", ");
    lines.push(`${words}: ${sum(counts, left) === 1 ? "stays as it is" : "stay as they are"}.`);
  }
  return { count, title: `${word} ${plural(count, "request")}?`, lines: count ? lines : ["There is nothing to do."], confirm: `${word} ${number(count)}`, isDangerous: verb !== "retry" };
}

/** @param {string} effect */
const singular = (effect) => effect.replace("Their images", "Its images").replace("Each is", "It is");

/** What waits costs nothing; what runs has cost something. @param {Counts} counts */
function cancelLines({ queued = 0, running = 0 }) {
  const lines = [];
  if (queued) lines.push(`${number(queued)} in the queue ${queued === 1 ? "leaves it and costs" : "leave it and cost"} nothing.`);
  if (running) lines.push(`${number(running)} running ${running === 1 ? "is" : "are"} stopped: images that are finished by then stay, and count as usage.`);
  return lines;
}

/** Why nothing was done. @param {number} expected @param {number} found */
export const changed = (expected, found) =>
  `Nothing was done, because the list has changed: ${number(expected)} matched before, ${number(found)} ${found === 1 ? "matches" : "match"} now.`;

/** "36 requests deleted. 1 was left as it is." @param {Verb} verb @param {{done: number, skipped: number}} result */
export function outcome(verb, { done, skipped }) {
  const left = skipped ? ` ${number(skipped)} ${skipped === 1 ? "was left as it is" : "were left as they are"}.` : "";
  return `${plural(done, "request")} ${VERBS[verb].done}.${left}`;
}
