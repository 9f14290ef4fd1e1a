// @ts-check
/** Deliveries of webhooks: their tries, and another one. */

import { ask } from "../../components/dialog.js";
import { SelectField } from "../../components/fields.js";
import { useNow } from "../../components/hooks.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { api } from "../../context.js";
import { path } from "../../lib/api.js";
import { ago, dateTime, duration, plural, shortId } from "../../lib/format.js";
import { href, replaceQuery } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { SELDOM_MS, act, columnIf, usePages, useReloadOnChange, useScope } from "./live.js";

/** @type {Record<string, [string, string]>} */
const STATES = { waiting: ["Waiting", "warn"], delivered: ["Delivered", "good"], failed: ["Given up", "bad"] };

/** @param {{query: Record<string, string>}} props */
export default function Webhooks({ query }) {
  const state = query.state in STATES ? query.state : "";
  const list = usePages("operate/webhooks", { state });
  const now = useNow();
  const mayReplay = useScope("operate");
  useReloadOnChange(list.reload, list.isFirst, SELDOM_MS);
  const options = [["", "Any state"], ...Object.entries(STATES).map(([id, [label]]) => [id, label])];
  return html`
    <div class="page-head">
      <h1>Webhooks</h1>
      <${SelectField} label="State" isLabelHidden value=${state} options=${options} onInput=${(/** @type {string} */ value) => replaceQuery({ state: value || null })} />
    </div>
    ${list.error && !list.items
      ? html`<${Failure} error=${list.error} retry=${list.reload} />`
      : !list.items
        ? html`<${Loading} />`
        : !list.items.length
          ? html`<${Empty} title=${state ? "None of these" : "No webhooks yet"}>A submit with <code>fal_webhook</code> asks for a call at the end of its request.<//>`
          : html`<div class="stack">
              <${Table} caption="Deliveries" isCaptionHidden rows=${list.items} rowKey=${(/** @type {any} */ row) => row.request_id} columns=${columns(now, mayReplay, list.reload)} />
              ${!list.isEnd && html`<div><button disabled=${list.isBusy} onClick=${list.more}>Older deliveries</button></div>`}
            </div>`}
  `;
}

/** @param {number} now @param {boolean} mayReplay @param {() => void} reload @returns {import("./live.js").Column[]} */
const columns = (now, mayReplay, reload) => [
  { label: "Request", cell: (row) => html`<a href=${href("requests", row.request_id)} title=${row.request_id}>${shortId(row.request_id)}</a>`, isHeader: true },
  { label: "State", cell: (row) => html`<span class="badge" data-state=${STATES[row.state]?.[1]}>${STATES[row.state]?.[0] ?? row.state}</span>` },
  { label: "User", cell: (row) => row.user },
  { label: "Receiver", cell: (row) => (row.url ? html`<span class="message">${row.url}</span>` : html`<span class="muted" title="It needs the scope content">not shown</span>`) },
  { label: "Request ended", cell: (row) => html`<time title=${dateTime(row.ended_at)}>${ago(row.ended_at, now)}</time>` },
  { label: "Tries", cell: (row) => html`<${Tries} row=${row} now=${now} />` },
  ...columnIf(mayReplay, { label: "Actions", isLabelHidden: true, align: "end", cell: (row) => html`<button class="small" aria-label=${`Replay… ${shortId(row.request_id)}`} onClick=${() => replay(row, reload)}>Replay…</button>` }),
];

/** @param {{row: any, now: number}} props */
function Tries({ row, now }) {
  const { attempts, next_attempt_at: next } = row;
  const last = attempts.at(-1);
  if (!last) return html`<span class="muted">${next ? "the first is due" : "none"}</span>`;
  return html`
    <details>
      <summary>${plural(attempts.length, "try", "tries")}: ${last.code ?? (last.error === null ? "ok" : "no response")}</summary>
      <ol class="tries small">
        ${attempts.map((/** @type {any} */ each) => html`<li key=${each.at}>${dateTime(each.at)}, ${duration(each.seconds)}: ${each.code ?? "no response"}${each.error ? ` – ${each.error}` : ""}</li>`)}
        ${next && html`<li class="muted">The next ${Date.parse(next) > now ? `in ${duration((Date.parse(next) - now) / 1000)}` : "is due"}.</li>`}
      </ol>
    </details>
  `;
}

/** @param {any} row @param {() => void} reload */
async function replay(row, reload) {
  const text = `The receiver of ${row.user} is called ${row.state === "delivered" ? "again, although it has confirmed the delivery" : "now"}, with the same body and the same id.`;
  if (!(await ask({ title: "Replay this webhook?", text, confirm: "Replay", isDangerous: row.state === "delivered" }))) return;
  if (await act(() => api.post(path("operate", "webhooks", row.request_id, "replay")), "The webhook is due again.")) reload();
}
