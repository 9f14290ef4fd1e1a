// @ts-check
/** The version, the checks of the installation, and its settings. */

import { useLoad, useStore } from "../../components/hooks.js";
import { Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { api, session } from "../../context.js";
import { html } from "../../../vendor/preact.js";

/** @type {Record<string, [string, string]>} */
const STATES = { ok: ["good", "Good"], warn: ["warn", "Warning"], fail: ["bad", "Failed"] };

export default function System() {
  const { info } = useStore(session.state);
  const { data, error, isLoading, reload } = useLoad((signal) => api.get("operate/doctor", { signal }), []);
  return html`
    <div class="page-head">
      <h1>Pipelet ${info?.version}</h1>
      <button disabled=${isLoading} onClick=${reload}>${isLoading ? "Checking…" : "Check again"}</button>
    </div>
    ${error && !data
      ? html`<${Failure} error=${error} retry=${reload} />`
      : !data
        ? html`<${Loading} label="Checking the installation, for up to seven seconds…" />`
        : html`<div class="stack">
            <section class="stack tight">
              <h2>Checks</h2>
              <ul class="checks">${data.checks.map((/** @type {any} */ check) => html`<${Check} key=${check.name} check=${check} />`)}</ul>
            </section>
            <${Settings} settings=${data.settings} />
          </div>`}
  `;
}

/** @param {{check: any}} props */
function Check({ check }) {
  const [sign, word] = STATES[check.state] ?? ["", check.state];
  return html`
    <li class="card">
      <span class="badge" data-state=${sign}>${word}</span>
      <div><h3>${check.name}</h3><p class="message">${check.detail}</p>${check.fix && html`<p class="muted small">${check.fix}</p>`}</div>
    </li>
  `;
}

/** @param {{settings: Record<string, any>}} props */
function Settings({ settings }) {
  const rows = Object.entries(settings).map(([name, value]) => ({ name, value: value === null || value === "" ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value) }));
  /** @type {import("./live.js").Column[]} */
  const columns = [
    { label: "Setting", cell: (row) => html`<code>${row.name}</code>`, isHeader: true },
    { label: "Value", cell: (row) => html`<span class="message">${row.value}</span>` },
  ];
  return html`<section class="stack tight"><h2>Settings</h2><p class="muted small">Of the process that responds, without secrets.</p>
    <${Table} caption="Settings" isCaptionHidden rows=${rows} rowKey=${(/** @type {any} */ row) => row.name} columns=${columns} />
  </section>`;
}
