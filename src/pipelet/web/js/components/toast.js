// @ts-check
/**
 * Short messages at the edge of the page, which screen readers read out:
 *
 *     toast("The request was deleted.");
 *     toast(error.message, { kind: "error" });
 *     toast("Deleted.", { action: { label: "Undo", run() {…} } });
 *
 * `announce(text)` tells screen readers alone, at most every two seconds: for progress.
 */

import { createStore } from "../lib/store.js";
import { html } from "../../vendor/preact.js";
import { useStore } from "./hooks.js";

const SECONDS = 6;
const ANNOUNCE_MS = 2_000;

/** @typedef {{id: number, text: string, kind: "info" | "error", action: {label: string, run: () => void} | null}} Toast */

const toasts = createStore(/** @type {Toast[]} */ ([]));
const spoken = createStore("");
let count = 0;
let nextWords = "";
/** @type {any} */
let speaking = null;

/** @param {number} id */
const dismiss = (id) => toasts.set(toasts.get().filter((each) => each.id !== id));

/**
 * @param {string} text
 * @param {{kind?: Toast["kind"], action?: Toast["action"], seconds?: number}} [options]
 */
export function toast(text, { kind = "info", action = null, seconds = kind === "error" ? 2 * SECONDS : SECONDS } = {}) {
  const id = (count += 1);
  toasts.set([...toasts.get().filter((each) => each.text !== text), { id, text, kind, action }].slice(-4));
  if (Number.isFinite(seconds)) setTimeout(() => dismiss(id), 1000 * seconds);
}

/** Return the result of a call; if it fails, show the error and return null. @template T @param {Promise<T>} call @returns {Promise<T | null>} */
export async function orToast(call) {
  try {
    return await call;
  } catch (error) {
    toast(/** @type {Error} */ (error).message, { kind: "error" });
    return null;
  }
}

/** @param {string} text */
export function announce(text) {
  nextWords = text;
  speaking ??= setTimeout(() => {
    speaking = null;
    spoken.set(nextWords);
  }, ANNOUNCE_MS);
}

export function Toasts() {
  const found = useStore(toasts);
  const words = useStore(spoken);
  return html`
    <div class="toasts" aria-live="polite">
      ${found.map(
        ({ id, text, kind, action }) => html`
          <div key=${id} class="toast" data-kind=${kind} role=${kind === "error" ? "alert" : undefined}>
            <p>${text}</p>
            ${action && html`<button onClick=${() => (dismiss(id), action.run())}>${action.label}</button>`}
            <button class="quiet" aria-label="Dismiss" onClick=${() => dismiss(id)}>✕</button>
          </div>
        `,
      )}
    </div>
    <div class="unseen" aria-live="polite">${words}</div>
  `;
}
