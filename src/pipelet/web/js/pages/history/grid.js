// @ts-check
/** The history as a grid of images. */

import { Thumbnail } from "../../components/images.js";
import { usePreviews } from "../../components/live.js";
import { RequestProgress, State } from "../../components/progress.js";
import { ago, dateTime } from "../../lib/format.js";
import { hasEnded } from "../../lib/requests.js";
import { href } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { FailureAction, FailureWords, Lifetime, Place, Prompt, sizeOf, titleOf } from "./parts.js";

/** @param {any} props as those of Rows */
export function Grid({ rows, ...more }) {
  return html`<ul class="grid">${rows.map((/** @type {any} */ item) => html`<${Card} key=${item.id} item=${item} ...${more} />`)}</ul>`;
}

/** @param {any} props */
function Card({ item, now, selected, onToggle, onKeep }) {
  const isSelected = selected.has(item.id);
  return html`
    <li class="request-card" data-key=${item.id} data-selected=${isSelected || null} data-state=${item.state}>
      <div class="shot">
        <${Shot} item=${item} now=${now} />
        ${item.thumbnails?.length > 1 && html`<span class="count" title="Images">${item.thumbnails.length}</span>`}
        <label class="pick">
          <input type="checkbox" checked=${isSelected} aria-label=${`Select ${titleOf(item)}`} onClick=${(/** @type {MouseEvent} */ event) => onToggle(item.id, event.shiftKey)} />
        </label>
      </div>
      <a class="prompt" data-main href=${href("requests", item.id)}><${Prompt} item=${item} /></a>
      <p class="meta">
        <span>${sizeOf(item)}</span>
        <time datetime=${item.submitted_at} title=${dateTime(item.submitted_at)}>${ago(item.submitted_at, now)}</time>
      </p>
      <p class="meta"><${Lifetime} item=${item} now=${now} onKeep=${onKeep} /></p>
    </li>
  `;
}

/** The image, or what there is instead of it. @param {any} props */
function Shot({ item, now }) {
  if (item.state === "running") return html`<${Running} item=${item} now=${now} />`;
  if (!hasEnded(item)) return html`<div class="instead"><${State} state=${item.state} /><${Place} item=${item} now=${now} /></div>`;
  if (item.state === "succeeded" || item.thumbnails?.length) return html`<${Thumbnail} item=${item} alt="" />`;
  return html`
    <div class="instead" data-state=${item.state}>
      <${State} state=${item.state} />
      <${FailureWords} item=${item} />
      <${FailureAction} item=${item} />
    </div>
  `;
}

/** @param {{item: any, now: number}} props */
function Running({ item, now }) {
  const preview = usePreviews(item).find(Boolean);
  return html`
    <div class="instead" data-state="running">
      ${preview ? html`<img class="growing" src=${preview.image} alt="" />` : html`<${State} state="running" />`}
      <${RequestProgress} item=${item} now=${now} />
    </div>
  `;
}
