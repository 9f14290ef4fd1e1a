// @ts-check
/** A seed: empty for a new one each time, or rolled to keep it. */

import { NumberField } from "../../components/fields.js";
import { randomSeed } from "../../lib/form.js";
import { html } from "../../../vendor/preact.js";

/** @param {any} props as of NumberField */
export function SeedField(props) {
  return html`
    <div class="joined">
      <${NumberField} ...${props} placeholder="random" min=${0} />
      ${props.value === ""
        ? html`<button type="button" aria-label="Roll the dice" title="Roll the dice" onClick=${() => props.onInput(String(randomSeed()))}>⚄</button>`
        : html`<button type="button" aria-label="Clear" title="Clear: random each time" onClick=${() => props.onInput("")}>✕</button>`}
    </div>
  `;
}
