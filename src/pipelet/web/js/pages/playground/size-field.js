// @ts-check
/** Width and height, with the usual sizes and a swap. */

import { NumberField } from "../../components/fields.js";
import { presets } from "../../lib/sizes.js";
import { html } from "../../../vendor/preact.js";

/** @param {{app: any, fields: any, values: any, errors: any, onChange: (values: any) => void}} props */
export function SizeField({ app, fields, values, errors, onChange }) {
  const { width, height } = values;
  const isFree = fields.width.fallback === "";
  const field = (/** @type {"width" | "height"} */ name) => html`
    <${NumberField} label=${fields[name].label} value=${values[name]} error=${errors[name]} min=${fields[name].minimum} max=${fields[name].maximum}
      placeholder=${isFree ? "as the image" : ""} onInput=${(/** @type {string} */ value) => onChange({ [name]: value })} />
  `;
  return html`
    <fieldset class="size">
      <legend class="label">Size</legend>
      <div class="presets">
        ${isFree && html`<button type="button" class="small" aria-pressed=${width === "" && height === ""} onClick=${() => onChange({ width: "", height: "" })}>As the image</button>`}
        ${presets(app.limits).map(
          ({ label, words, width: w, height: h }) => html`
            <button type="button" key=${label} class="small" title=${`${words}, ${w} × ${h}`} aria-label=${`${label} ${words}, ${w} by ${h}`}
              aria-pressed=${width === String(w) && height === String(h)} onClick=${() => onChange({ width: String(w), height: String(h) })}>
              <span class="shape" data-ratio=${label}></span>${label}
            </button>
          `,
        )}
      </div>
      <div class="sides">
        ${field("width")}
        <button type="button" aria-label="Swap width and height" title="Swap" onClick=${() => onChange({ width: height, height: width })}>⇄</button>
        ${field("height")}
      </div>
    </fieldset>
  `;
}
