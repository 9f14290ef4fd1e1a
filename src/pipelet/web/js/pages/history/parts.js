// @ts-check
/** Parts of a request that the grid and the list show alike. */

import { timeLeft, whyCancelled } from "../../components/progress.js";
import { left, plural } from "../../lib/format.js";
import { hasEnded } from "../../lib/requests.js";
import { href } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { editAsNew, retry } from "./acts.js";

/** What a request is called where its prompt is not there. @param {any} item */
export const titleOf = (item) => item.input?.prompt || (item.store_input ? "No prompt" : "Prompt not kept");

/** @param {{item: any}} props */
export function Prompt({ item }) {
  const isThere = Boolean(item.input?.prompt);
  return html`<span class=${isThere ? "" : "muted"} title=${isThere ? item.input.prompt : NOT_KEPT}>${titleOf(item)}</span>`;
}

const NOT_KEPT = "It was sent with X-Fal-Store-IO: 0, so its prompt and its input images were deleted at its end.";

/** "512 × 512 · 4 images". @param {any} item */
export const sizeOf = (item) => `${item.width} × ${item.height}${item.batch_size > 1 ? ` · ${plural(item.batch_size, "image")}` : ""}`;

/** How long a request stays, and what changes that. @param {{item: any, now: number, onKeep: (item: any, kept: boolean) => void}} props */
export function Lifetime({ item, now, onKeep }) {
  if (!hasEnded(item)) return null;
  const words = item.kept ? "Kept" : left(item.expires_at, now);
  return html`
    <span class="lifetime" data-kept=${item.kept || null}>
      <span title=${item.kept ? "It stays until you delete it." : "Then it is deleted, with its images."}>${words}</span>
      <button class="quiet small" aria-pressed=${item.kept} aria-label=${`Keep ${titleOf(item)}`} onClick=${() => onKeep(item, !item.kept)}>
        ${item.kept ? "★" : "☆"}<span class="words">Keep</span>
      </button>
    </span>
  `;
}

/** Where a request is in the queue, and how long it takes. @param {{item: any, now: number}} props */
export function Place({ item, now }) {
  // The state is next to it.
  const words = (item.message ?? "").replace(/^Queued: /, "").replace(/^0 requests ahead/, "Next in the queue");
  return html`<span class="ahead">${words}</span> <span class="muted">${timeLeft(item, now)}</span>`;
}

/** What fits a failure: to try again where that may help, else to change the request. */
const WORTH_A_RETRY = new Set(["internal_server_error", "runner_disconnected", "request_timeout"]);
/** @type {Record<string, string>} */
const ADVICE = {
  out_of_memory: "A smaller size or fewer images may fit.",
  value_error: "Change the request: it would fail again.",
  image_load_error: "Give the input images once more.",
  request_timeout: "It did not start before its deadline.",
  runner_disconnected: "The worker was lost. It may succeed now.",
};

/** @param {{item: any}} props */
export function FailureAction({ item }) {
  const isRetry = item.state === "cancelled" || WORTH_A_RETRY.has(item.error_type);
  if (item.retried_as) return html`<a class="small" href=${href("requests", item.retried_as)}>Queued again</a>`;
  if (!item.store_input) return null; // its input is gone
  return isRetry
    ? html`<button class="small" onClick=${() => retry(item)}>Retry</button>`
    : html`<button class="small" onClick=${() => editAsNew(item)}>Edit as new</button>`;
}

/** What has gone wrong, in a code, the words of the service, and advice. @param {{item: any}} props */
export function FailureWords({ item }) {
  if (item.state === "cancelled") return html`<span class="reason">${whyCancelled(item)}</span>`;
  return html`
    ${item.error_type && html`<code>${item.error_type}</code>`}
    <span class="reason" title=${item.error}>${item.error}</span>
    ${ADVICE[item.error_type] && html`<span class="advice">${ADVICE[item.error_type]}</span>`}
  `;
}

