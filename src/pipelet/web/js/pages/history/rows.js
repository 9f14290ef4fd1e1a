// @ts-check
/** The history as a list of lines. */

import { Thumbnail } from "../../components/images.js";
import { State } from "../../components/progress.js";
import { Table } from "../../components/table.js";
import { ago, dateTime, duration } from "../../lib/format.js";
import { hasEnded } from "../../lib/requests.js";
import { href } from "../../lib/router.js";
import { html, useRef } from "../../../vendor/preact.js";
import { FailureAction, FailureWords, Lifetime, Place, Prompt, sizeOf, titleOf } from "./parts.js";

/**
 * @param {{rows: any[], now: number, selected: ReadonlySet<string>, onToggle: (id: string, isRange: boolean) => void,
 *   onSelectAll: () => void, onClear: () => void, onKeep: (item: any, kept: boolean) => void}} props
 */
export function Rows({ rows, now, selected, onToggle, onSelectAll, onClear, onKeep }) {
  const isRange = useRef(false);
  const hasSeveralApps = new Set(rows.map(({ app }) => app)).size > 1;
  const columns = [
    { label: "Image", isLabelHidden: true, cell: (/** @type {any} */ item) => html`<div class="small-shot"><${Thumbnail} item=${item} alt="" /></div>` },
    { label: "Prompt", isHeader: true, cell: (/** @type {any} */ item) => html`<a class="prompt" data-main href=${href("requests", item.id)}><${Prompt} item=${item} /></a>` },
    { label: "State", cell: (/** @type {any} */ item) => html`<${StateCell} item=${item} now=${now} />` },
    { label: "Size", cell: (/** @type {any} */ item) => html`<span class="size">${sizeOf(item)}${hasSeveralApps && html`<br /><span class="muted small">${item.app}</span>`}</span>` },
    { label: "Submitted", cell: (/** @type {any} */ item) => html`<time datetime=${item.submitted_at} title=${dateTime(item.submitted_at)}>${ago(item.submitted_at, now)}</time>` },
    { label: "Generated in", align: "end", cell: (/** @type {any} */ item) => duration(item.inference_seconds) },
    { label: "Stays", cell: (/** @type {any} */ item) => html`<${Lifetime} item=${item} now=${now} onKeep=${onKeep} />` },
  ];
  /** The table tells what is selected now; what was clicked is the difference. @param {Set<string>} next */
  const onSelect = (next) => {
    const changed = rows.filter(({ id }) => next.has(id) !== selected.has(id)).map(({ id }) => id);
    if (changed.length === 1) onToggle(changed[0], isRange.current);
    else if (next.size) onSelectAll();
    else onClear();
  };
  return html`
    <div class="request-rows" onClickCapture=${(/** @type {MouseEvent} */ event) => (isRange.current = event.shiftKey)}>
      <${Table} caption="Your requests" isCaptionHidden rows=${rows} rowKey=${(/** @type {any} */ item) => item.id} rowLabel=${titleOf}
        columns=${columns} selected=${selected} onSelect=${onSelect} />
    </div>
  `;
}

/** @param {any} props */
function StateCell({ item, now }) {
  return html`
    <div class="state-cell" data-state=${item.state}>
      <${State} state=${item.state} />
      ${!hasEnded(item) && html`<div class="small"><${Place} item=${item} now=${now} /></div>`}
      ${(item.state === "failed" || item.state === "cancelled") && html`<div class="why"><${FailureWords} item=${item} /></div><${FailureAction} item=${item} />`}
    </div>
  `;
}
