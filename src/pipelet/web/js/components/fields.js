// @ts-check
/**
 * Fields of forms, each with a label, and perhaps a hint and an error that screen readers read with it:
 *
 *     html`<${TextField} label="Name" value=${name} onInput=${setName} error=${errors.name} hint="Shown in lists" />`
 *     html`<${NumberField} label="Width" value=${width} onInput=${setWidth} min=${64} max=${4096} />`
 *     html`<${SelectField} label="State" value=${state} onInput=${setState} options=${[["", "Any"], ["failed", "Failed"]]} />`
 *     html`<${CheckField} label="Remember me" value=${isOn} onInput=${setOn} />`
 *     html`<${Segments} label="View" value=${view} onInput=${setView} options=${[["", "Grid"], ["list", "List"]]} />`
 *
 * `onInput` gets the new value: a text, also of a number field (the form reads numbers when it sends them, so that a half
 * typed one stays as it is), or a boolean. Further properties go to the control. `isLabelHidden` hides the label.
 */

import { html, useId } from "../../vendor/preact.js";

/** @param {{label: any, hint?: any, error?: any, isLabelHidden?: boolean, children?: any, class?: string}} props */
function Field({ label, hint, error, isLabelHidden = false, children, class: name = "" }) {
  const id = useId();
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const props = { id, "aria-describedby": about || undefined, "aria-invalid": error ? "true" : undefined };
  return html`
    <div class=${`field ${name}`}>
      <label for=${id} class=${isLabelHidden ? "unseen" : ""}>${label}</label>
      ${children(props)}
      ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
      ${error && html`<p class="error" id=${`${id}-error`}>${error}</p>`}
    </div>
  `;
}

const split = (/** @type {any} */ { label, hint, error, isLabelHidden, class: name, ...rest }) => ({
  around: { label, hint, error, isLabelHidden, class: name },
  rest,
});

/** @param {any} event */
const valueOf = (event) => event.currentTarget.value;

/** @param {any} props */
export function TextField(props) {
  const { around, rest } = split(props);
  const { value, onInput, rows, ...more } = rest;
  return html`<${Field} ...${around}>
    ${(/** @type {any} */ control) =>
      rows
        ? html`<textarea ...${control} ...${more} rows=${rows} value=${value} onInput=${(/** @type {any} */ event) => onInput(valueOf(event))}></textarea>`
        : html`<input type="text" ...${control} ...${more} value=${value} onInput=${(/** @type {any} */ event) => onInput(valueOf(event))} />`}
  <//>`;
}

/** @param {any} props */
export function NumberField(props) {
  return html`<${TextField} type="number" inputmode=${props.step === 1 || !props.step ? "numeric" : "decimal"} ...${props} />`;
}

/** @param {any} props `options`: pairs of value and words */
export function SelectField(props) {
  const { around, rest } = split(props);
  const { value, onInput, options, ...more } = rest;
  return html`<${Field} ...${around}>
    ${(/** @type {any} */ control) => html`
      <select ...${control} ...${more} value=${value} onChange=${(/** @type {any} */ event) => onInput(valueOf(event))}>
        ${options.map((/** @type {[string, string]} */ [key, words]) => html`<option key=${key} value=${key} selected=${key === value}>${words}</option>`)}
      </select>
    `}
  <//>`;
}

/** @param {{label: any, value: boolean, onInput: (value: boolean) => void, hint?: any}} props */
export function CheckField({ label, value, onInput, hint }) {
  const id = useId();
  return html`
    <div class="field check">
      <input type="checkbox" id=${id} checked=${value} aria-describedby=${hint ? `${id}-hint` : undefined}
        onChange=${(/** @type {any} */ event) => onInput(event.currentTarget.checked)} />
      <label for=${id}>${label}</label>
      ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    </div>
  `;
}

/** A row of buttons that selects one of several options. @param {{label: string, value: string, options: [string, string][], onInput: (value: string) => void}} props */
export function Segments({ label, value, options, onInput }) {
  return html`
    <div class="segments" role="group" aria-label=${label}>
      ${options.map(([key, words]) => html`<button key=${key} class="small" aria-pressed=${key === value} onClick=${() => onInput(key)}>${words}</button>`)}
    </div>
  `;
}
