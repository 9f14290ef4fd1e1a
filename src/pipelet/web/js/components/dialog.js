// @ts-check
/**
 * Dialogs. Before a dangerous act:
 *
 *     if (await ask({ title: "Delete 37 requests?", text: "Their images are deleted, too.", confirm: "Delete 37" })) …
 *
 * `text` may be what `html` returns; `isDangerous` (true unless given) colours the button. Forms have one of their own:
 *
 *     html`<${Dialog} title="New key" onClose=${close}>…fields and buttons…<//>`
 *
 * which is open for as long as it is shown. The browser keeps the focus inside, and Esc closes it.
 */

import { createStore } from "../lib/store.js";
import { html, useEffect, useId, useRef } from "../../vendor/preact.js";
import { useStore } from "./hooks.js";

/** @typedef {{title: string, text: any, confirm: string, isDangerous: boolean, answer: (is: boolean) => void}} Question */

const question = createStore(/** @type {Question | null} */ (null));

/**
 * @param {{title: string, text?: any, confirm?: string, isDangerous?: boolean}} options
 * @returns {Promise<boolean>}
 */
export function ask({ title, text = null, confirm = "Continue", isDangerous = true }) {
  question.get()?.answer(false);
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ is) => {
      question.set(null);
      resolve(is);
    };
    question.set({ title, text, confirm, isDangerous, answer });
  });
}

/** @param {{title: string, onClose: () => void, size?: "normal" | "wide" | "full", children?: any}} props */
export function Dialog({ title, onClose, size = "normal", children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  useEffect(() => {
    const opener = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.current?.showModal();
    return () => opener?.isConnected && opener.focus();
  }, []);
  // Esc asks to cancel; `close` follows if the browser closes it all the same.
  const close = (/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
  };
  const onBackdrop = (/** @type {Event} */ event) => event.target === dialog.current && onClose();
  return html`
    <dialog ref=${dialog} class=${size} aria-labelledby=${id} onCancel=${close} onClose=${close} onMouseDown=${onBackdrop}>
      <div class="dialog-body">
        <h2 id=${id}>${title}</h2>
        ${children}
      </div>
    </dialog>
  `;
}

/** Shows what `ask` asks. */
export function Dialogs() {
  const asked = useStore(question);
  if (!asked) return null;
  const { title, text, confirm, isDangerous, answer } = asked;
  return html`
    <${Dialog} title=${title} onClose=${() => answer(false)}>
      ${text && html`<div class="muted">${text}</div>`}
      <div class="actions end">
        <button onClick=${() => answer(false)}>Cancel</button>
        <button class=${isDangerous ? "danger" : "primary"} onClick=${() => answer(true)}>${confirm}</button>
      </div>
    <//>
  `;
}
