// @ts-check
/** Choose a request to compare another one with. */

import { Dialog } from "../../components/dialog.js";
import { Thumbnail } from "../../components/images.js";
import { href } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";

const MOST = 24;

/** @param {{item: any, others: any[], onClose: () => void}} props */
export default function ChooseOther({ item, others, onClose }) {
  return html`
    <${Dialog} title="Compare with" size="wide" onClose=${onClose}>
      <ul class="choices">
        ${others.slice(0, MOST).map(
          (other) => html`
            <li key=${other.id}>
              <a href=${href("compare", item.id, other.id)} onClick=${onClose}>
                <${Thumbnail} item=${other} alt="" />
                <span class="small">${other.input?.prompt ?? other.id}</span>
              </a>
            </li>
          `,
        )}
      </ul>
      <div class="actions end"><button onClick=${onClose}>Cancel</button></div>
    <//>
  `;
}
