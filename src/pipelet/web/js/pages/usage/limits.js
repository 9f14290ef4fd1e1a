// @ts-check
/** Limits of the user and of the key, as they are used now. */

import { useLoad, useSettled } from "../../components/hooks.js";
import { useRequests } from "../../components/live.js";
import { Progress } from "../../components/progress.js";
import { api, session } from "../../context.js";
import { fill, limitLines } from "../../lib/usage/limits.js";
import { html, useEffect, useRef } from "../../../vendor/preact.js";

/** What has ended is added up within a second or two. */
const PAUSE_MS = 2_000;
/** @type {Record<string, string>} */
const WORDS = { near: "Nearly full", full: "Full" };

/** Calls `reload` a moment after requests of the user have come, started or ended. @param {() => void} reload */
export function useAfterChanges(reload) {
  const states = useRequests().map(({ id, state }) => `${id} ${state}`).join();
  const settled = useSettled(states, PAUSE_MS);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) reload();
    isFirst.current = false;
  }, [settled]);
}

export function Limits() {
  const { data, error, reload } = useLoad((signal) => api.get("session", { signal }), []);
  useAfterChanges(reload);
  const info = data ?? session.state.get().info;
  const { user, key } = limitLines(info);
  return html`
    <aside class="card stack" aria-label="Limits">
      <h2>Limits</h2>
      ${error && html`<p class="error-text">${error.message}</p>`}
      <${Lines} lines=${user} />
      ${key.length > 0 && html`<h3>Of this key</h3><${Lines} lines=${key} />`}
      <p class="muted small">All keys of ${info.user} share the limits of the user. The operator sets them.</p>
    </aside>
  `;
}

/** @param {{lines: import("../../lib/usage/limits.js").LimitLine[]}} props */
function Lines({ lines }) {
  return html`<ul class="limits">${lines.map((line) => {
    const level = fill(line);
    return html`
      <li key=${line.name} data-fill=${level || null}>
        <p class="line"><span>${line.name}</span><b>${line.text}</b></p>
        ${line.most !== null && html`<${Progress} label=${line.name} value=${Math.min(line.used ?? 0, line.most)} max=${line.most || 1} />`}
        ${level && html`<p class="small level">${WORDS[level]}. ${line.hint}</p>`}
      </li>`;
  })}</ul>`;
}
