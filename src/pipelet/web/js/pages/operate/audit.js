// @ts-check
/** The audit trail: who did what, and what it changed. */

import { Empty, Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { dateTime, plural } from "../../lib/format.js";
import { changesInWords, joinReads } from "../../lib/operate/accounts.js";
import { html } from "../../../vendor/preact.js";
import { usePages } from "./live.js";

/** @type {import("./live.js").Column[]} */
const COLUMNS = [
  { label: "Time", cell: (row) => html`<time datetime=${row.at}>${dateTime(row.at)}</time>`, isHeader: true },
  { label: "Who", cell: (row) => html`${row.user}<span class="muted small">${row.key ? `key ${row.key}` : "command line"}</span>${row.address && html`<span class="muted small">from ${row.address}</span>`}` },
  { label: "Act", cell: (row) => html`<code>${row.action}</code>` },
  { label: "Of", cell: (row) => html`<${Targets} targets=${row.targets} />` },
  { label: "Change", cell: (row) => changesInWords(row).map((words) => html`<span class="change">${words}</span>`) },
];

/** @param {{targets: string[]}} props */
function Targets({ targets }) {
  if (targets.length === 1) return html`<span class="message">${targets[0]}</span>`;
  return html`<details><summary>${plural(targets.length, "request")}</summary><p class="targets small">${targets.join(", ")}</p></details>`;
}

export default function Audit() {
  const list = usePages("operate/audit", {});
  if (list.error && !list.items) return html`<${Failure} error=${list.error} retry=${list.reload} />`;
  if (!list.items) return html`<${Loading} />`;
  return html`
    <div class="page-head"><h1>Audit trail</h1><button onClick=${list.reload}>Read again</button></div>
    ${list.items.length
      ? html`<div class="stack">
          <${Table} caption="Administrative acts" isCaptionHidden columns=${COLUMNS} rows=${joinReads(list.items)} rowKey=${(/** @type {any} */ row) => String(row.id)} />
          ${!list.isEnd && html`<div><button disabled=${list.isBusy} onClick=${list.more}>Older entries</button></div>`}
        </div>`
      : html`<${Empty} title="No acts yet">What operators do, here or on the command line, leaves an entry.<//>`}
  `;
}
