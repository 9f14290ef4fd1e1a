// @ts-check
/** The newest requests, to show another one. */

import { Thumbnail, describe } from "../../components/images.js";
import { hasEnded } from "../../lib/requests.js";
import { html } from "../../../vendor/preact.js";

const MOST = 12;

/** @param {{items: any[], shown: string, onShow: (item: any) => void}} props */
export function Recent({ items, shown, onShow }) {
  if (items.length < 2) return null;
  return html`
    <nav class="stack" aria-label="Recent requests">
      <div class="row spread"><h2>Recent</h2><a href="#/history">All requests</a></div>
      <ul class="recent">
        ${items.slice(0, MOST).map(
          (item) => html`
            <li key=${item.id}>
              <button aria-current=${item.id === shown ? "true" : undefined} onClick=${() => onShow(item)} title=${describe(item)}>
                <span class="unseen">${describe(item)}</span>
                <${Thumbnail} item=${item} alt="" />
                ${!hasEnded(item) && html`<progress value=${item.progress?.done} max=${item.progress?.total ?? 1} aria-label="Progress"></progress>`}
              </button>
            </li>
          `,
        )}
      </ul>
    </nav>
  `;
}
