// @ts-check
/** The filters of the history. They are in the address, so that a reload and a link keep them. */

import { SelectField, TextField } from "../../components/fields.js";
import { useLoad, useSettled } from "../../components/hooks.js";
import { api } from "../../context.js";
import { TIMES, isFiltered } from "../../lib/history/filter.js";
import { replaceQuery } from "../../lib/router.js";
import { html, useEffect, useRef, useState } from "../../../vendor/preact.js";

const TYPING_MS = 300;
const NOTHING = { q: null, state: null, app: null, error_type: null, time: null, from: null, to: null };
const STATES = [["", "All states"], ["queued", "Queued"], ["running", "Generating"], ["succeeded", "Done"], ["failed", "Failed"], ["cancelled", "Cancelled"]];
const PERIODS = [["", "Any time"], ...Object.entries(TIMES).map(([key, [, words]]) => [key, words]), ["days", "Days…"]];

export const clearFilters = () => replaceQuery(NOTHING);

/** @param {{filter: import("../../lib/history/filter.js").Filter}} props */
export function Filters({ filter }) {
  const { state, app, error_type, time, from, to } = filter;
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => replaceQuery({ [name]: value || null });
  const setTime = (/** @type {string} */ value) => replaceQuery({ time: value || null, from: null, to: null });
  return html`
    <search class="filters">
      <${Search} q=${filter.q} />
      <${SelectField} label="State" isLabelHidden value=${state} onInput=${set("state")} options=${STATES} />
      <${AppField} app=${app} onInput=${set("app")} />
      <${SelectField} label="Time" isLabelHidden value=${time} onInput=${setTime} options=${PERIODS} />
      ${time === "days" && html`
        <${TextField} label="From" type="date" value=${from} max=${to || undefined} onInput=${set("from")} class="day" />
        <${TextField} label="To" type="date" value=${to} min=${from || undefined} onInput=${set("to")} class="day" />`}
      ${error_type && html`<button class="small" onClick=${() => replaceQuery({ error_type: null })} aria-label=${`Not only ${error_type}`}><code>${error_type}</code> ✕</button>`}
      ${isFiltered(filter) && html`<button class="quiet" onClick=${clearFilters}>Clear filters</button>`}
    </search>
  `;
}

/** @param {{q: string}} props */
function Search({ q }) {
  const [typed, setTyped] = useState(q);
  const settled = useSettled(typed, TYPING_MS);
  const sent = useRef(q);
  useEffect(() => {
    if (settled.trim() === sent.current) return;
    sent.current = settled.trim();
    replaceQuery({ q: sent.current || null });
  }, [settled]);
  useEffect(() => {
    // The address has changed otherwise: filters were cleared, or a link was followed.
    if (q === sent.current) return;
    sent.current = q;
    setTyped(q);
  }, [q]);
  return html`<${TextField} label="Search prompts" isLabelHidden type="search" placeholder="Search prompts, or an id" maxlength="200" class="search" value=${typed} onInput=${setTyped} />`;
}

/** @param {{app: string, onInput: (value: string) => void}} props */
function AppField({ app, onInput }) {
  const { data } = useLoad((signal) => api.get("apps", { signal }), []);
  const apps = (data?.items ?? []).map((/** @type {any} */ each) => [each.name, each.title]);
  const isKnown = !app || apps.some((/** @type {string[]} */ [name]) => name === app);
  const options = [["", "All apps"], ...apps, ...(isKnown ? [] : [[app, app]])];
  return html`<${SelectField} label="App" isLabelHidden value=${app} onInput=${onInput} options=${options} />`;
}
