// @ts-check
/** Two requests next to each other, or one over the other, and what differs between them. */

import { FullImage, describe } from "../../components/images.js";
import { SelectField } from "../../components/fields.js";
import { useTitle } from "../../components/hooks.js";
import { useRequestDetail } from "../../components/live.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { differences, wordDifferences } from "../../lib/difference.js";
import { href, replaceQuery } from "../../lib/router.js";
import { html, useState } from "../../../vendor/preact.js";
import { Gone } from "../request/result.js";

export const styles = ["generate.css"];

/** @param {{params: {a: string, b: string}, query: any}} props */
export default function Compare({ params, query }) {
  useTitle("Compare");
  const sides = [useRequestDetail(params.a), useRequestDetail(params.b)];
  const [cut, setCut] = useState(50);
  const isSlider = query.view === "slider";
  if (sides.some(({ isDeleted }) => isDeleted)) return html`<${Gone} isPage />`;
  const failed = sides.find(({ error, detail }) => error && !detail);
  if (failed) return html`<${Failure} error=${failed.error} retry=${failed.reload} />`;
  if (!sides.every(({ detail }) => detail)) return html`<${Loading} />`;
  const [a, b] = sides.map(({ detail }) => detail);
  if (!a.images?.length || !b.images?.length) return html`<${Empty} isPage title="There is nothing to compare">Both requests need an image.<//>`;
  const shown = [pick(a, query.a), pick(b, query.b)];
  const view = (/** @type {string | null} */ name) => replaceQuery({ view: name });
  return html`
    <div class="page-head">
      <h1>Compare</h1>
      <div class="actions" role="group" aria-label="View">
        <button aria-pressed=${!isSlider} onClick=${() => view(null)}>Side by side</button>
        <button aria-pressed=${isSlider} onClick=${() => view("slider")}>Slider</button>
      </div>
    </div>
    ${isSlider
      ? html`<${Slider} images=${shown} requests=${[a, b]} cut=${cut} onCut=${setCut} />`
      : html`<div class="compare">${[a, b].map((request, k) => html`<figure key=${request.id}><${FullImage} image=${shown[k]} alt=${describe(request)} renew=${sides[k].reload} /></figure>`)}</div>`}
    <div class="compare captions">
      ${[a, b].map(
        (request, k) => html`
          <div key=${request.id} class="row spread">
            <a class="mono small" href=${href("requests", request.id)}>${request.id}</a>
            ${request.images.length > 1 &&
            html`<${SelectField} label="Image" isLabelHidden value=${String(request.images.indexOf(shown[k]))}
              onInput=${(/** @type {string} */ index) => replaceQuery({ [k ? "b" : "a"]: index })}
              options=${request.images.map((/** @type {any} */ _, /** @type {number} */ at) => [String(at), `Image ${at + 1}`])} />`}
          </div>
        `,
      )}
    </div>
    <${Differences} a=${a} b=${b} />
  `;
}

/** @param {any} request @param {string} [index] */
const pick = (request, index) => request.images[Number(index ?? 0)] ?? request.images[0];

/** @param {{images: any[], requests: any[], cut: number, onCut: (cut: number) => void}} props */
function Slider({ images, requests, cut, onCut }) {
  const [a, b] = images;
  return html`
    <div class="slider" style=${{ aspectRatio: `${a.width} / ${a.height}`, "--cut": `${cut}%` }}>
      <img src=${b.url} alt=${describe(requests[1])} />
      <img src=${a.url} alt=${describe(requests[0])} class="over" />
      <input type="range" min="0" max="100" value=${cut} aria-label="Share of the first image" onInput=${(/** @type {any} */ event) => onCut(Number(event.currentTarget.value))} />
    </div>
  `;
}

/** @param {{a: any, b: any}} props */
function Differences({ a, b }) {
  const rows = differences(a, b);
  if (!rows.length) return html`<p class="muted">Both have the same parameters.</p>`;
  const [before, after] = wordDifferences(a.input?.prompt ?? "", b.input?.prompt ?? "");
  const marked = (/** @type {any[]} */ words) => words.map(({ text, isNew }) => (isNew && text.trim() ? html`<mark>${text}</mark>` : text));
  const cell = (/** @type {any} */ row, /** @type {"a" | "b"} */ side) => (row.label === "Prompt" ? marked(side === "a" ? before : after) : row[side]);
  return html`<${Table} caption="What differs" rows=${rows} rowKey=${(/** @type {any} */ row) => row.label} columns=${[
    { label: "Parameter", cell: (/** @type {any} */ row) => row.label, isHeader: true },
    { label: "First", cell: (/** @type {any} */ row) => cell(row, "a") },
    { label: "Second", cell: (/** @type {any} */ row) => cell(row, "b") },
  ]} />`;
}
