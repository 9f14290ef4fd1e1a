// @ts-check
/** The queue at a glance: apps, who waits, what runs, and how it went. */

import { ask } from "../../components/dialog.js";
import { useNow } from "../../components/hooks.js";
import { Progress } from "../../components/progress.js";
import { Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { api } from "../../context.js";
import { path } from "../../lib/api.js";
import { ago, duration, number, plural, shortId } from "../../lib/format.js";
import { href } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { Charts } from "./charts.js";
import { act, columnIf, useOverview, useScope } from "./live.js";

/** @param {{query: Record<string, string>}} props */
export default function Overview({ query }) {
  const overview = useOverview();
  if (!overview) return html`<${Loading} />`;
  return html`
    <h1 class="unseen">Overview</h1>
    <div class="stack">
      <${Workers} workers=${overview.workers} />
      <${Apps} apps=${overview.apps} />
      <${Charts} query=${query} apps=${overview.apps.map((/** @type {any} */ each) => each.app)} />
      <${Running} running=${overview.running} />
      <${Waiting} overview=${overview} />
    </div>
  `;
}

/** One line about the workers, which leads to their screen. @param {{workers: any[]}} props */
function Workers({ workers }) {
  if (!workers.length) {
    return html`<p class="notice" data-kind="warn">No worker is running: requests wait. Start one with <code>pipelet serve</code> or <code>pipelet worker</code>.</p>`;
  }
  const count = (/** @type {string} */ state) => workers.filter((worker) => worker.state === state).length;
  const problems = workers.filter((worker) => worker.problem && worker.state !== "draining");
  return html`
    <div class="row">
      ${count("ready") > 0 && html`<a class="badge" data-state="good" href="#/operate/workers">${plural(count("ready"), "worker")} ready</a>`}
      ${count("draining") > 0 && html`<a class="badge" data-state="warn" href="#/operate/workers">${number(count("draining"))} draining</a>`}
      ${count("not ready") > 0 && html`<a class="badge" data-state="bad" href="#/operate/workers">${number(count("not ready"))} not ready</a>`}
      ${problems.length > 0 && html`<span class="small">${problems[0].name}: ${problems[0].problem}</span>`}
    </div>
  `;
}

/** @param {{apps: any[]}} props */
function Apps({ apps }) {
  const mayOperate = useScope("operate");
  const now = useNow();
  /** @type {import("./live.js").Column[]} */
  const columns = [
    { label: "App", cell: (row) => html`<a href=${href("operate", "requests", { app: row.app })}>${row.app}</a>`, isHeader: true },
    { label: "Waiting", cell: (row) => number(row.queued), align: "end" },
    { label: "Oldest", cell: (row) => ago(row.oldest_submitted_at, now) },
    { label: "Running", cell: (row) => number(row.running), align: "end" },
    { label: "Requests/min", cell: (row) => number(Math.round(10 * row.requests_per_minute) / 10), align: "end" },
    { label: "Images/min", cell: (row) => number(Math.round(10 * row.images_per_minute) / 10), align: "end" },
    { label: "All started in", cell: (row) => drain(row, now) },
    ...columnIf(mayOperate, { label: "Actions", isLabelHidden: true, align: "end", cell: (row) => html`<${PauseButton} app=${row} />` }),
  ];
  return html`<${Table} caption="Apps" columns=${columns} rows=${apps} rowKey=${(/** @type {any} */ row) => row.app} />`;
}

/** @param {any} row @param {number} now */
function drain(row, now) {
  if (row.paused_at) return html`<span class="badge" data-state="warn">Paused ${ago(row.paused_at, now)}</span>`;
  if (!row.queued) return "–";
  return row.drain_seconds === null ? html`<span class="badge" data-state="bad">No worker</span>` : row.drain_seconds < 1 ? "a moment" : `about ${duration(row.drain_seconds)}`;
}

/** @param {{app: any}} props */
function PauseButton({ app: { app, queued, running, paused_at: pausedAt } }) {
  if (pausedAt) {
    return html`<button class="small" onClick=${() => act(() => api.post(path("operate", "apps", app, "resume")), `${app} takes its queue up again.`)}>Resume</button>`;
  }
  const pause = async () => {
    const text = `No request of it starts until you resume it: ${plural(queued, "request")} wait${queued === 1 ? "s" : ""}, and new ones are accepted. ${running === 0 ? "" : running === 1 ? "The one that runs continues." : `The ${number(running)} that run continue.`}`;
    if (await ask({ title: `Pause ${app}?`, text, confirm: "Pause" })) await act(() => api.post(path("operate", "apps", app, "pause")), `${app} is paused.`);
  };
  return html`<button class="small" aria-label=${`Pause… ${app}`} onClick=${pause}>Pause…</button>`;
}

/** @param {{running: any[]}} props */
function Running({ running }) {
  const mayOperate = useScope("operate");
  const now = useNow(1_000);
  if (!running.length) return html`<section><h2>Running</h2><p class="muted">No request runs.</p></section>`;
  const cancel = async (/** @type {any} */ row) => {
    const text = `It is a request of ${row.user} for ${plural(row.images, "image")}, at work since ${ago(row.started_at)}. It stops after the step that it is at, unless it ends before.`;
    if (!(await ask({ title: "Cancel this request?", text, confirm: "Cancel it" }))) return;
    await act(() => api.post("requests/cancel", { ids: [row.id], in_progress: true }), `${shortId(row.id)} is being cancelled.`);
  };
  /** @type {import("./live.js").Column[]} */
  const columns = [
    { label: "Request", cell: (row) => html`<a href=${href("requests", row.id)}>${shortId(row.id)}</a>`, isHeader: true },
    { label: "App", cell: (row) => row.app },
    { label: "User", cell: (row) => row.user },
    { label: "Images", cell: (row) => number(row.images), align: "end" },
    { label: "Tasks done", cell: (row) => html`<${Tasks} row=${row} />` },
    { label: "Worker", cell: (row) => row.worker },
    { label: "For", cell: (row) => duration(Math.max(0, Math.round((now - Date.parse(row.started_at)) / 1000))), align: "end" },
    ...columnIf(mayOperate, { label: "Actions", isLabelHidden: true, align: "end", cell: (row) => html`<button class="small" aria-label=${`Cancel… ${shortId(row.id)}`} onClick=${() => cancel(row)}>Cancel…</button>` }),
  ];
  return html`<${Table} caption="Running" columns=${columns} rows=${running} rowKey=${(/** @type {any} */ row) => row.id} />`;
}

/** @param {{row: any}} props */
export function Tasks({ row }) {
  if (!row.progress) return "–";
  const { done, total } = row.progress;
  return html`<span class="tasks"><span>${done}/${total}</span><${Progress} label=${`Tasks done of ${shortId(row.id)}`} value=${done} max=${total} /></span>`;
}

/** @param {{overview: any}} props */
function Waiting({ overview }) {
  const { by_priority: priorities, by_user: users } = overview;
  if (!priorities.length) return null;
  const byPriority = priorities.map((/** @type {any} */ each) => ({
    label: `${each.priority}${overview.apps.length > 1 ? ` · ${each.app}` : ""}`,
    count: each.queued,
    to: href("operate", "requests", { state: "queued", app: each.app, priority: each.priority }),
  }));
  const byUser = users.map((/** @type {any} */ each) => ({ label: each.user, count: each.queued, to: href("operate", "requests", { state: "queued", user: each.user }) }));
  return html`
    <div class="halves">
      <section class="card stack"><h2>Waiting by priority</h2><${Bars} rows=${byPriority} unit="requests" /></section>
      <section class="card stack">
        <h2>Waiting by user</h2>
        <${Bars} rows=${byUser} unit="requests" />
        <p class="muted small">The users with the most, among 2,000 waiting requests of each app.</p>
      </section>
    </div>
  `;
}

/** Amounts as bars. @param {{rows: {label: string, count: number, to?: string}[], unit?: string, format?: (count: number) => string}} props */
export function Bars({ rows, unit = "", format = number }) {
  const most = Math.max(...rows.map((row) => row.count), 1);
  return html`
    <ul class="bars">
      ${rows.map(
        ({ label, count, to }) => html`
          <li key=${label}>
            ${to ? html`<a href=${to}>${label}</a>` : html`<span>${label}</span>`}
            <span class="amount">${format(count)}</span>
            <${Progress} label=${`${label}: ${format(count)} ${unit}`} value=${count} max=${most} />
          </li>
        `,
      )}
    </ul>
  `;
}
