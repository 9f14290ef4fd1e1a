// @ts-check
/** What an action on many requests says before and after it is done. */

import { number, plural } from "../format.js";

/** @typedef {"retry" | "cancel" | "delete"} Verb */

/** @type {Record<Verb, {word: string, done: string, states: string[], effect: (count: number) => string, isDangerous: boolean}>} */
const VERBS = {
  retry: {
    word: "Retry",
    done: "queued again",
    states: ["failed", "cancelled"],
    effect: (count) =>
      `${count === 1 ? "A copy is" : "Copies are"} queued for the same ${count === 1 ? "user" : "users"}, under new ids and within the limits of their keys.`,
    isDangerous: false,
  },
  cancel: {
    word: "Cancel",
    done: "cancelled",
    states: ["queued", "running"],
    effect: (count) => `${count === 1 ? "It ends" : "They end"} without images, and webhooks are sent. This cannot be taken back.`,
    isDangerous: true,
  },
  delete: {
    word: "Delete",
    done: "deleted",
    states: ["queued", "succeeded", "failed", "cancelled"],
    effect: (count) =>
      `${count === 1 ? "The request, its input and its images are" : "The requests, their inputs and their images are"} gone for ${count === 1 ? "its user" : "their users"}, too. This cannot be taken back.`,
    isDangerous: true,
  },
};

/** The actions that fit requests of a state; for all states, those that fit any. @param {string | undefined} state @returns {Verb[]} */
export const verbsFor = (state) => /** @type {Verb[]} */ (Object.keys(VERBS)).filter((verb) => !state || VERBS[verb].states.includes(state));

/** Whether an action fits a request. @param {Verb} verb @param {string} state */
export const fits = (verb, state) => VERBS[verb].states.includes(state);

/** "Retry". @param {Verb} verb */
export const word = (verb) => VERBS[verb].word;

/**
 * "Retry all 37 that match"; without a number where there are more than the list shows.
 *
 * @param {Verb} verb @param {number} shown items of the list @param {boolean} isAll whether they are all that match
 */
export function allLabel(verb, shown, isAll) {
  if (!isAll) return `${VERBS[verb].word} all that match…`;
  return shown === 1 ? `${VERBS[verb].word} the one that matches…` : `${VERBS[verb].word} all ${number(shown)} that match…`;
}

/**
 * What to ask before it, and how many requests it leaves as they are.
 *
 * @param {Verb} verb
 * @param {Record<string, number>} byState how many requests there are in each state
 */
export function question(verb, byState) {
  const { word, effect, isDangerous } = VERBS[verb];
  const sum = (/** @type {boolean} */ areFit) =>
    Object.entries(byState).reduce((all, [state, count]) => all + (fits(verb, state) === areFit ? count : 0), 0);
  const [count, left] = [sum(true), sum(false)];
  return {
    count,
    title: `${word} ${plural(count, "request")}?`,
    effect: count ? effect(count) : "There is nothing to do.",
    left: left ? `${plural(left, "other request")} that it does not fit ${left === 1 ? "stays as it is" : "stay as they are"}.` : "",
    confirm: `${word} ${number(count)}`,
    isDangerous,
  };
}

/** What the service has refused, because the filter finds another number now. @param {number} expected @param {number} found */
export const changed = (expected, found) =>
  `Nothing was done: the filter found ${number(expected)} before, and finds ${number(found)} now.`;

/** "36 requests queued again, 1 left as it is". @param {Verb} verb @param {{done: number, skipped: number}} result */
export function outcome(verb, { done, skipped }) {
  const left = skipped ? `, ${number(skipped)} left as ${skipped === 1 ? "it is" : "they are"}` : "";
  return `${plural(done, "request")} ${VERBS[verb].done}${left}.`;
}
