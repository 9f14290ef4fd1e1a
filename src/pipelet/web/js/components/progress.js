// @ts-check
/**
 * Progress and state of requests.
 *
 * - `Progress`: `<${Progress} label="Tasks done" value=${3} max=${8} />`; without `value`, of unknown length
 * - `State`: the state of a request as a word with a colour, `<${State} state="queued" />`
 * - `RequestProgress`: a request's bar and line, from an item of the API
 * - `lineOf`: the status of a request in one line
 * - `whyCancelled`: the text after "Cancelled", for the user who is signed in
 */

import { session } from "../context.js";
import { duration } from "../lib/format.js";
import { cancelReason, hasEnded } from "../lib/requests.js";
import { html } from "../../vendor/preact.js";

/** @type {Record<string, string>} */
const STATES = { queued: "Queued", running: "Generating", succeeded: "Done", failed: "Failed", cancelled: "Cancelled" };

/** @param {{label: string, value?: number | null, max?: number}} props */
export function Progress({ label, value = null, max = 1 }) {
  return value === null
    ? html`<progress aria-label=${label}></progress>`
    : html`<progress aria-label=${label} value=${value} max=${max}></progress>`;
}

/** @param {{state: string}} props */
export function State({ state }) {
  return html`<span class="badge" data-state=${state}>${STATES[state] ?? state}</span>`;
}

/** "about 9 s left", from the estimate of the whole and the time of the submit. @param {any} item @param {number} [now] ms */
export function timeLeft(item, now = Date.now()) {
  if (item.estimated_seconds === null || hasEnded(item)) return "";
  const seconds = item.estimated_seconds - (now - Date.parse(item.submitted_at)) / 1000;
  if (seconds < 1) return item.state === "running" ? "nearly done" : "";
  return `about ${duration(Math.round(seconds))} left`;
}

/** @param {any} item */
export const whyCancelled = (item) => cancelReason(item, session.state.get().info?.user ?? "");

/** @param {any} item */
export const lineOf = (item) => (item.state === "cancelled" ? `Cancelled ${whyCancelled(item)}`.trim() : item.message ?? STATES[item.state]);

/** @param {{item: any, now?: number}} props */
export function RequestProgress({ item, now = Date.now() }) {
  if (item.state === "succeeded" && item.inference_seconds !== null) return html`<p class="line">Generated in ${duration(item.inference_seconds)}</p>`;
  if (hasEnded(item)) return html`<p class="line">${lineOf(item)}</p>`;
  const isRunning = item.state === "running" && item.progress;
  return html`
    <div class="request-progress">
      <p class="line">
        <span>${lineOf(item)}</span>
        <span class="muted">${timeLeft(item, now)}</span>
      </p>
      <${Progress} label=${item.message ?? "Progress"} value=${isRunning ? item.progress.done : null} max=${item.progress?.total ?? 1} />
    </div>
  `;
}
