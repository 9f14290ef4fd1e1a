// @ts-check
/** What a small model knows; nothing for one that takes any prompt. */

import { html } from "../../../vendor/preact.js";

/** @param {{app: any, onWord: (word: string) => void}} props */
export function Vocabulary({ app, onWord }) {
  if (!app.vocabulary?.length) return app.about ? html`<p class="muted small">${app.about}</p>` : null;
  return html`
    <details class="vocabulary">
      <summary class="small">This model knows ${app.vocabulary.length} things, and no others</summary>
      <p class="muted small">${app.about}</p>
      <ul class="words">
        ${app.vocabulary.map((/** @type {string} */ word) => html`<li key=${word}><button type="button" class="small" onClick=${() => onWord(word)}>${word}</button></li>`)}
      </ul>
    </details>
  `;
}
