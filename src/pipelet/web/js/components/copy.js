// @ts-check
/** A button that copies a text: `<${CopyButton} text=${id} label="Copy id" />`. `copy(text)` does so by itself. */

import { html, useState } from "../../vendor/preact.js";
import { toast } from "./toast.js";

const SHOWN_MS = 1_500;

/** @param {string} text @returns {Promise<boolean>} whether the browser allowed it */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    toast("The browser does not let this page copy. Select the text and copy it.", { kind: "error" });
    return false;
  }
}

/** @param {{text: string, label?: string, class?: string}} props */
export function CopyButton({ text, label = "Copy", class: name = "" }) {
  const [isDone, setDone] = useState(false);
  const run = async () => {
    if (!(await copy(text))) return;
    setDone(true);
    setTimeout(() => setDone(false), SHOWN_MS);
  };
  return html`<button type="button" class=${name} onClick=${run} aria-live="polite">${isDone ? "Copied" : label}</button>`;
}
