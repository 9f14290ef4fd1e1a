// @ts-check
/** What the images take, and how much room there is. */

import { useLoad, useNow } from "../../components/hooks.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { api } from "../../context.js";
import { ago, bytes, duration, plural } from "../../lib/format.js";
import { href } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { Bars } from "./overview.js";

export default function Storage() {
  const { data, error, reload } = useLoad((signal) => api.get("operate/storage", { signal }), []);
  const now = useNow();
  if (error && !data) return html`<${Failure} error=${error} retry=${reload} />`;
  if (!data) return html`<${Loading} />`;
  return html`
    <h1 class="unseen">Storage</h1>
    <div class="stack">
      <dl class="figures">
        <div class="card"><dt>Images</dt><dd>${bytes(data.bytes)}</dd></div>
        <div class="card"><dt>Free</dt><dd>${data.free_bytes === null ? "in a bucket" : bytes(data.free_bytes)}</dd></div>
        <div class="card"><dt>Kept for</dt><dd>${duration(data.retention_seconds)}</dd></div>
      </dl>
      ${data.sampled_at === null
        ? html`<${Empty} title="Not counted yet">The service counts a minute after its start.<//>`
        : html`
            <p class="muted small">Images of ${plural(data.requests, "ended request")}, counted ${ago(data.sampled_at, now)}. The free room is that of now.</p>
            <div class="thirds">
              <${Part} title="By age, in days" rows=${data.by_age} name="days" />
              <${Part} title="By app" rows=${data.by_app} name="app" to=${(/** @type {string} */ app) => href("operate", "requests", { app })} />
              <${Part} title="By user" rows=${data.by_user} name="user" to=${(/** @type {string} */ user) => href("operate", "requests", { user })} />
            </div>
          `}
    </div>
  `;
}

/** @param {{title: string, rows: any[], name: string, to?: (name: string) => string}} props */
function Part({ title, rows, name, to }) {
  const shown = rows.map((row) => ({ label: row[name], count: row.bytes, to: to?.(row[name]) }));
  return html`<section class="card stack"><h2>${title}</h2>${shown.length ? html`<${Bars} rows=${shown} format=${bytes} />` : html`<p class="muted">Nothing.</p>`}</section>`;
}
