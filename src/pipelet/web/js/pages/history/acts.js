// @ts-check
/** What people do to requests of the list. The stream, or the list itself, then tells how they are. */

import { ask } from "../../components/dialog.js";
import { toast, orToast } from "../../components/toast.js";
import { api } from "../../context.js";
import { path } from "../../lib/api.js";
import { changed, fitting, outcome, question, word } from "../../lib/history/bulk.js";
import { html } from "../../../vendor/preact.js";
import { edit } from "../request/acts.js";

/** What one call takes. */
const MOST_IDS = 1_000;
export const MOST_IN_ARCHIVE = 100;
/** What the calls say besides the requests that are meant. @type {Partial<Record<Verb, any>>} */
const MORE = { cancel: { in_progress: true } };

/**
 * @typedef {import("../../lib/history/bulk.js").Verb} Verb
 * @typedef {import("../../lib/history/bulk.js").Counts} Counts
 * @typedef {{counts?: Counts, kept?: number} & ({ids: string[], filter?: null} | {ids?: null, filter: any})} Target
 *   the requests themselves, or all that a filter finds; `counts` are loaded if they are missing
 */

/** How many requests a filter finds, by state. @param {any} filter @returns {Promise<Counts>} */
export const countMatching = async (filter) => (await api.get("requests/count", { query: filter })).by_state;

/** Ask, then do it, and say what was done. @param {Verb} verb @param {Target} target @returns {Promise<boolean>} whether it was done */
export async function actOn(verb, target) {
  let counts = target.counts ?? (await countMatching(target.filter));
  let note = target.counts ? "" : "Those that were retried before are left out.";
  for (;;) {
    if (!fitting(verb, counts)) {
      toast(`There is nothing to ${word(verb).toLowerCase()}. ${note}`);
      return false;
    }
    const { title, lines, confirm, isDangerous } = question(verb, counts, target);
    const text = html`${[note, ...lines].filter(Boolean).map((line) => html`<p key=${line}>${line}</p>`)}`;
    if (!(await ask({ title, text, confirm, isDangerous }))) return false;
    try {
      const result = target.ids ? await actOnIds(verb, target.ids) : await actOnAll(verb, target.filter, counts);
      toast(outcome(verb, result));
      return true;
    } catch (error) {
      const { type, count, message } = /** @type {import("../../lib/api.js").ApiError} */ (error);
      if (type !== "count_differs" || !target.filter) {
        toast(message, { kind: "error" });
        return false;
      }
      note = changed(total(counts), count ?? 0);
      counts = await countMatching(target.filter);
    }
  }
}

/** @param {Counts} counts */
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** @param {Verb} verb @param {string[]} ids */
async function actOnIds(verb, ids) {
  const sum = { done: 0, skipped: 0 };
  for (let begin = 0; begin < ids.length; begin += MOST_IDS) {
    const { done, skipped } = await api.post(path("requests", verb), { ids: ids.slice(begin, begin + MOST_IDS), ...MORE[verb] });
    sum.done += done;
    sum.skipped += skipped;
  }
  return sum;
}

/** @param {Verb} verb @param {any} filter @param {Counts} counts */
const actOnAll = (verb, filter, counts) => api.post(path("requests", verb), { filter, expect: total(counts), ...MORE[verb] });

/** Queue a failed or cancelled request once more, without a question: it is what its button says. @param {any} item */
export async function retry(item) {
  const result = await orToast(api.post("requests/retry", { ids: [item.id] }));
  if (result) toast(result.done ? "Queued again, as a new request." : "This request cannot be queued again. Your limits may leave no room, or its input was not kept.");
}

/** Fill the form of the first page with a request. @param {any} item */
export async function editAsNew(item) {
  const detail = await orToast(api.get(path("requests", item.id)));
  if (detail) edit(detail);
}

/** The address of a zip file of their images. @param {string[]} ids */
export const archiveUrl = (ids) => api.url("requests/archive", { ids: ids.join(",") });
