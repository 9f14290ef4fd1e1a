// @ts-check
/** A request at its own address: images, facts, input images, log. */

import { CopyButton } from "../../components/copy.js";
import { useLoad, useTitle } from "../../components/hooks.js";
import { useRequestDetail } from "../../components/live.js";
import { api } from "../../context.js";
import { bytes, dateTime, duration, left, timeOfDay } from "../../lib/format.js";
import { hasEnded } from "../../lib/requests.js";
import { href, navigate } from "../../lib/router.js";
import { html } from "../../../vendor/preact.js";
import { keep, remove } from "./acts.js";
import { Result } from "./result.js";

export const styles = ["generate.css"];

/** @param {{params: {id: string}}} props */
export default function Request({ params: { id } }) {
  const { item, detail, isDeleted } = useRequestDetail(id);
  const { data: apps } = useLoad((signal) => api.get("apps", { signal }), []);
  useTitle(item?.input?.prompt ?? "Request");
  const onNew = (/** @type {any} */ made) => navigate(href("requests", made.id));
  const result = html`<${Result} key=${id} id=${id} apps=${apps?.items} onNew=${onNew} heading=${html`<h1 class="mono small">${id}</h1>`} />`;
  if (isDeleted || !item) return result;
  return html`
    <div class="request-page">
      <div class="card">${result}</div>
      <aside class="stack">
        <section class="card stack">
          <div class="row spread"><h2>Facts</h2><${CopyButton} text=${id} label="Copy id" class="small" /></div>
          <${Facts} item=${item} detail=${detail} />
          ${hasEnded(item) &&
          html`<div class="actions">
            <button onClick=${() => keep(item, !item.kept)}>${item.kept ? "Stop keeping" : "Keep"}</button>
            <button onClick=${async () => (await remove(item)) && navigate("#/history")}>Delete</button>
          </div>`}
        </section>
        ${detail?.input_images?.length > 0 &&
        html`<section class="card stack">
          <h2>Input images</h2>
          <ul class="inputs">${detail.input_images.map((/** @type {string} */ url, /** @type {number} */ k) => html`<li key=${k}><img src=${url} alt=${`Input image ${k + 1}`} /></li>`)}</ul>
        </section>`}
        ${detail?.log?.length > 0 && html`<section class="card stack"><h2>Log</h2><${Log} lines=${detail.log} /></section>`}
      </aside>
    </div>
  `;
}

/** @param {{item: any, detail: any}} props */
function Facts({ item, detail }) {
  const input = item.input ?? {};
  const size = detail?.images?.reduce((/** @type {number} */ sum, /** @type {any} */ image) => sum + image.file_size, 0);
  /** @type {[string, any][]} */
  const rows = [
    ["App", item.app],
    ["Prompt", input.prompt ?? (item.store_input ? null : "not kept")],
    ["Avoid", input.negative_prompt],
    ["Size", `${item.width} × ${item.height}`],
    ["Images", item.batch_size],
    ["Seed", item.seed],
    ["Steps", input.num_inference_steps],
    ["Guidance", input.guidance_scale],
    ["Strength", input.strength],
    ["Format", input.output_format],
    ["Priority", item.priority || null],
    ["Submitted", dateTime(item.submitted_at)],
    ["Waited", item.started_at && duration((Date.parse(item.started_at) - Date.parse(item.submitted_at)) / 1000)],
    ["Generated in", item.inference_seconds && duration(item.inference_seconds)],
    ["Files", size ? bytes(size) : null],
    ["Stays", item.kept ? "until you delete it" : item.expires_at && left(item.expires_at)],
  ];
  return html`<dl class="facts">${rows
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** @param {{lines: {at: string, level: string, message: string}[]}} props */
function Log({ lines }) {
  return html`<ol class="log">${lines.map(
    ({ at, level, message }, k) => html`<li key=${k} data-level=${level}><time datetime=${at} title=${dateTime(at)}>${timeOfDay(at)}</time> ${message}</li>`,
  )}</ol>`;
}
