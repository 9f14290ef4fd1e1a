// @ts-check
/** Workers: what they do, and what is wrong with them. */

import { ask } from "../../components/dialog.js";
import { useNow } from "../../components/hooks.js";
import { Empty, Loading } from "../../components/states.js";
import { api } from "../../context.js";
import { path } from "../../lib/api.js";
import { ago, duration, plural, shortId } from "../../lib/format.js";
import { href } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { act, useOverview, useScope } from "./live.js";
import { Tasks } from "./overview.js";

/** @type {Record<string, string>} */
const SIGNS = { ready: "good", draining: "warn", "not ready": "bad" };

export default function Workers() {
  const overview = useOverview();
  const now = useNow(1_000);
  if (!overview) return html`<${Loading} />`;
  const { workers, running } = overview;
  if (!workers.length) {
    return html`<${Empty} title="No worker is running">
      Requests wait. <code>pipelet serve</code> starts one for each GPU of its machine, <code>pipelet worker</code> on others.
    <//>`;
  }
  return html`
    <h1 class="unseen">Workers</h1>
    <ul class="cards">
      ${workers.map(
        (/** @type {any} */ worker) =>
          html`<${Worker} key=${worker.name} worker=${worker} running=${running.filter((/** @type {any} */ each) => each.worker === worker.name)} now=${now} />`,
      )}
    </ul>
  `;
}

/** @param {{worker: any, running: any[], now: number}} props */
function Worker({ worker, running, now }) {
  const mayOperate = useScope("operate");
  const { name, state, problem, profile, apps, version, seen_at: seenAt, megapixel_seconds: megapixel } = worker;
  return html`
    <li class="card stack tight">
      <div class="row spread">
        <h2 class="name">${name}</h2>
        <span class="badge" data-state=${SIGNS[state]}>${state === "ready" && running.length ? "generating" : state}</span>
      </div>
      ${problem && html`<p class="notice" data-kind=${state === "draining" ? "warn" : "error"}>${problem}</p>`}
      <dl class="facts small">
        <dt>Model</dt><dd>${profile}</dd>
        <dt>Apps</dt><dd>${apps.join(", ")}</dd>
        ${megapixel !== null && html`<dt title="Learned: an image of one megapixel with the defaults of the model">Speed</dt><dd>${duration(megapixel)} per megapixel</dd>`}
        <dt>Version</dt><dd>${version}</dd>
        <dt>Last seen</dt><dd>${ago(seenAt, now)}</dd>
      </dl>
      ${running.length
        ? html`<ul class="work">
            ${running.map(
              (each) => html`<li key=${each.id}>
                <a href=${href("requests", each.id)}>${shortId(each.id)}</a>
                <span class="muted small">${each.user}, ${duration(Math.max(0, Math.round((now - Date.parse(each.started_at)) / 1000)))}</span>
                <${Tasks} row=${each} />
              </li>`,
            )}
          </ul>`
        : html`<p class="muted small">${state === "ready" ? "It waits for requests." : "It generates nothing."}</p>`}
      <div class="actions">
        ${mayOperate && html`<${DrainButton} worker=${worker} running=${running} />`}
        <a class="button small quiet" href=${href("operate", "requests", { worker: name })}>Its requests</a>
      </div>
    </li>
  `;
}

/** @param {{worker: any, running: any[]}} props */
function DrainButton({ worker: { name, state }, running }) {
  if (state === "draining") {
    return html`<button class="small" aria-label=${`Undrain ${name}`} onClick=${() => act(() => api.delete(path("operate", "workers", name, "drain")), `${name} takes requests again.`)}>Undrain</button>`;
  }
  const drain = async () => {
    const work = running.length ? running.length === 1 ? "It finishes its request" : `It finishes its ${plural(running.length, "request")}` : "It has no request now";
    const text = `${work}, takes no more, and exits. It does not come back until its service is restarted; until it has exited, this can be taken back.`;
    if (await ask({ title: `Drain ${name}?`, text, confirm: "Drain" })) await act(() => api.post(path("operate", "workers", name, "drain")), `${name} drains.`);
  };
  return html`<button class="small" aria-label=${`Drain… ${name}`} onClick=${drain}>Drain…</button>`;
}
