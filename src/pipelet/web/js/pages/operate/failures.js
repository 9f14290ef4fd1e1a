// @ts-check
/** Failed requests by kind and message. */

import { useLoad, useNow } from "../../components/hooks.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { api } from "../../context.js";
import { ago, dateTime, number, plural } from "../../lib/format.js";
import { byKind, overTime } from "../../lib/operate/failures.js";
import { addressOf } from "../../lib/operate/filters.js";
import { RANGES } from "../../lib/operate/series.js";
import { href } from "../../lib/router.js";
import { html, useState } from "../../../vendor/preact.js";
import { BulkDialog } from "./bulk.js";
import { Chart } from "./chart.js";
import { RangeField } from "./charts.js";
import { SELDOM_MS, useReloadOnChange, useScope } from "./live.js";

/** @param {{query: Record<string, string>}} props */
export default function Failures({ query }) {
  const range = RANGES.find(({ id }) => id === query.range) ?? RANGES[1];
  const { data, error, reload } = useLoad(
    async (signal) => {
      const now = Date.now() / 1000;
      const found = await api.get("operate/failures", { query: { since: Math.floor(now - range.seconds), step: range.step }, signal });
      return { ...found, chart: overTime(found.series, range, now) };
    },
    [range],
  );
  const [filter, setFilter] = useState(/** @type {any} */ (null));
  useReloadOnChange(reload, !filter, SELDOM_MS);
  return html`
    <div class="page-head">
      <h1>Failures</h1>
      <${RangeField} range=${range} />
    </div>
    ${error && !data ? html`<${Failure} error=${error} retry=${reload} />` : !data ? html`<${Loading} />` : html`<${Groups} data=${data} range=${range} retry=${setFilter} />`}
    ${filter && html`<${BulkDialog} verb="retry" filter=${filter} onClose=${() => setFilter(null)} onDone=${reload} />`}
  `;
}

/** @param {{data: any, range: any, retry: (filter: any) => void}} props */
function Groups({ data, range, retry }) {
  const mayOperate = useScope("operate");
  const now = useNow();
  const kinds = byKind(data.items);
  if (!kinds.length) return html`<${Empty} title="Nothing has failed">No request of the last ${range.label} has failed.<//>`;
  return html`
    <div class="stack">
      ${!data.is_complete && html`<p class="notice" data-kind="warn">More requests failed than are counted here: these are the newest ${number(data.items.reduce((/** @type {number} */ sum, /** @type {any} */ item) => sum + item.requests, 0))}.</p>`}
      <${Chart} title="Failed requests by kind" data=${data.chart} format=${number} isLong=${range.seconds > 86_400} heading="h2" />
      ${kinds.map(
        (group) => html`
          <section key=${group.kind} class="stack tight" aria-labelledby=${`kind-${group.kind}`}>
            <div class="row spread">
              <div class="row">
                <h2 id=${`kind-${group.kind}`}><code>${group.kind}</code></h2>
                <span class="muted">${plural(group.requests, "request")}${group.retried > 0 && `, ${retried(group)}`}, last ${ago(group.last_seen_at, now)}</span>
              </div>
              <div class="actions">
                <a class="button small" href=${href("operate", "requests", addressOf(group.filter))}>Show requests</a>
                ${mayOperate && group.retried < group.requests && html`<button class="small" aria-label=${`Retry… ${group.kind}`} onClick=${() => retry(group.filter)}>Retry…</button>`}
              </div>
            </div>
            <${Table} caption=${`Messages of ${group.kind}`} isCaptionHidden rows=${group.items} rowKey=${(/** @type {any} */ row) => `${row.app} ${row.message} ${row.worker}`} columns=${columns(now)} />
          </section>
        `,
      )}
    </div>
  `;
}

/** "all retried". @param {{requests: number, retried: number}} group */
const retried = (group) => `${group.retried < group.requests ? number(group.retried) : "all"} retried`;

/** @param {number} now @returns {import("./live.js").Column[]} */
const columns = (now) => [
  { label: "Message", cell: (row) => html`<span class="message">${row.message}</span>`, isHeader: true },
  { label: "Requests", cell: (row) => html`${number(row.requests)}${row.retried > 0 && html`<span class="muted small">${retried(row)}</span>`}`, align: "end" },
  { label: "App", cell: (row) => row.app },
  { label: "Worker", cell: (row) => row.worker ?? "–" },
  { label: "First seen", cell: (row) => html`<time title=${dateTime(row.first_seen_at)}>${ago(row.first_seen_at, now)}</time>` },
  { label: "Last seen", cell: (row) => html`<time title=${dateTime(row.last_seen_at)}>${ago(row.last_seen_at, now)}</time>` },
];
