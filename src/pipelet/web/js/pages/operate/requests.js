// @ts-check
/** The requests of all users: filters, and actions on one, on some, or on all that match. */

import { SelectField, TextField } from "../../components/fields.js";
import { useNow, useSettled } from "../../components/hooks.js";
import { State, whyCancelled } from "../../components/progress.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { ago, dateTime, duration, number, plural, shortId } from "../../lib/format.js";
import { allLabel, fits, verbsFor, word } from "../../lib/history/bulk.js";
import { apiFilter, describeFilter, readFilter } from "../../lib/operate/filters.js";
import { href, replaceQuery } from "../../lib/router.js";
import { html, useEffect, useState } from "../../../vendor/preact.js";
import { BulkDialog } from "./bulk.js";
import { PriorityDialog, moveToFront } from "./moves.js";
import { columnIf, useOverview, usePages, useReloadOnChange, useScope } from "./live.js";

const STATES = [["", "Any state"], ["queued", "Queued"], ["running", "Generating"], ["succeeded", "Done"], ["failed", "Failed"], ["cancelled", "Cancelled"]];
const TYPING_MS = 400;
/** @type {[string, string][]} */
const TEXTS = [["user", "User"], ["key", "Key id"], ["worker", "Worker"], ["error_type", "Error type"], ["priority", "Priority"]];

/** @param {{query: Record<string, string>}} props */
export default function Requests({ query }) {
  const filter = readFilter(query);
  const list = usePages("requests", apiFilter(filter));
  const mayOperate = useScope("operate");
  const [selected, setSelected] = useState(/** @type {Set<string>} */ (new Set()));
  const [dialog, setDialog] = useState(/** @type {any} */ (null));
  const key = JSON.stringify(filter);
  useEffect(() => setSelected(new Set()), [key]);
  useReloadOnChange(list.reload, list.isFirst && !dialog);
  const close = () => setDialog(null);
  return html`
    <h1 class="unseen">Requests</h1>
    <div class="stack">
      <${Filters} filter=${filter} />
      ${mayOperate && list.items && list.items.length > 0 && html`<${Actions} filter=${filter} list=${list} selected=${selected} open=${setDialog} />`}
      <${Rows} list=${list} filter=${filter} mayOperate=${mayOperate} selected=${selected} onSelect=${setSelected} open=${setDialog} />
    </div>
    ${dialog?.verb && html`<${BulkDialog} ...${dialog} onClose=${close} onDone=${() => (setSelected(new Set()), list.reload())} />`}
    ${dialog?.item && html`<${PriorityDialog} item=${dialog.item} onClose=${close} onDone=${list.reload} />`}
  `;
}

/** @param {{filter: Record<string, string>}} props */
function Filters({ filter }) {
  const seesContent = useScope("content");
  const apps = (useOverview()?.apps ?? []).map((/** @type {any} */ each) => each.app);
  if (filter.app && !apps.includes(filter.app)) apps.push(filter.app);
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => replaceQuery({ [name]: value || null });
  const fields = seesContent ? [...TEXTS, ["q", "Prompt or id"]] : TEXTS;
  const times = ["since", "until"].filter((name) => filter[name]);
  return html`
    <form class="filters card" aria-label="Filters" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${SelectField} label="State" value=${filter.state ?? ""} options=${STATES} onInput=${set("state")} />
      <${SelectField} label="App" value=${filter.app ?? ""} options=${[["", "Any app"], ...apps.map((/** @type {string} */ name) => [name, name])]} onInput=${set("app")} />
      ${fields.map(([name, label]) => html`<${TypedField} key=${name} label=${label} value=${filter[name] ?? ""} onSettled=${set(name)} />`)}
      ${(times.length > 0 || Object.keys(filter).length > 0) &&
      html`<p class="row small wide">
        <span>${describeFilter(filter)}</span>
        <a href=${href("operate", "requests")}>Show all</a>
      </p>`}
    </form>
    ${!seesContent && html`<p class="muted small">Prompts and images of other users are not shown: your key does not have the scope <code>content</code>.</p>`}
  `;
}

/** A field whose value counts when a person stops typing. @param {{label: string, value: string, onSettled: (value: string) => void}} props */
function TypedField({ label, value, onSettled }) {
  const [text, setText] = useState(value);
  const settled = useSettled(text, TYPING_MS);
  useEffect(() => setText((current) => (current.trim() === value ? current : value)), [value]);
  useEffect(() => {
    if (settled === text && settled.trim() !== value) onSettled(settled.trim());
  }, [settled]);
  return html`<${TextField} label=${label} value=${text} onInput=${setText} spellcheck=${false} autocomplete="off" />`;
}

/** @param {{filter: any, list: any, selected: Set<string>, open: (dialog: any) => void}} props */
function Actions({ filter, list, selected, open }) {
  const items = list.items.filter((/** @type {any} */ item) => selected.has(item.id));
  if (!items.length) {
    if (!filter.state) return null;
    return html`<div class="actions">
      ${verbsFor(filter.state).map((verb) => {
        const shown = list.items.filter((/** @type {any} */ item) => fits(verb, item)).length;
        return (shown > 0 || !list.isEnd) && html`<button key=${verb} class="small" onClick=${() => open({ verb, filter })}>${allLabel(verb, shown, list.isEnd)}</button>`;
      })}
    </div>`;
  }
  return html`
    <div class="actions" role="group" aria-label="Selected requests">
      ${verbsFor(filter.state).map((verb) => {
        const fitting = items.filter((/** @type {any} */ item) => fits(verb, item));
        return fitting.length > 0 && html`<button key=${verb} class="small" onClick=${() => open({ verb, items: fitting })}>${`${word(verb)} ${plural(fitting.length, "selected request")}…`}</button>`;
      })}
    </div>
  `;
}

/** @param {any} props */
function Rows({ list, filter, mayOperate, selected, onSelect, open }) {
  const now = useNow();
  if (list.error && !list.items) return html`<${Failure} error=${list.error} retry=${list.reload} />`;
  if (!list.items) return html`<${Loading} />`;
  const more = !list.isEnd && html`<button disabled=${list.isBusy} onClick=${list.more}>${list.isBusy ? "Looking…" : list.items.length ? "Older requests" : "Look further back"}</button>`;
  if (!list.items.length) {
    return html`<${Empty} title=${list.isEnd ? "No request matches" : "None among the newest requests"}>
      ${list.isEnd ? `There are no ${describeFilter(filter).replace(/^all /, "")}.` : "Older ones may match."} <p>${more}</p>
    <//>`;
  }
  return html`
    <div class="requests-table">
      <${Table} caption="Requests" isCaptionHidden rows=${list.items} rowKey=${(/** @type {any} */ row) => row.id} columns=${columns(now, mayOperate, open, list.reload)}
        selected=${mayOperate ? selected : null} onSelect=${onSelect} rowLabel=${(/** @type {any} */ row) => shortId(row.id)} />
    </div>
    <div class="row spread"><span class="muted small">${plural(list.items.length, "request")}${list.isEnd ? ", all that match" : ""}</span>${more}</div>
  `;
}

/** @param {number} now @param {boolean} mayOperate @param {(dialog: any) => void} open @param {() => void} reload @returns {import("./live.js").Column[]} */
const columns = (now, mayOperate, open, reload) => [
  { label: "Request", cell: (row) => html`<a href=${href("requests", row.id)} title=${row.id}>${shortId(row.id)}</a>${row.input?.prompt && html`<span class="prompt">${row.input.prompt}</span>`}`, isHeader: true },
  { label: "State", cell: (row) => html`<${StateOf} row=${row} />` },
  { label: "User and app", cell: (row) => html`<a href=${href("operate", "requests", { user: row.user })}>${row.user}</a><span class="muted small">${row.app}</span>` },
  { label: "Size", cell: (row) => html`${row.width}×${row.height}<span class="muted small">${plural(row.batch_size, "image")}</span>${row.priority ? html`<span class="muted small">priority ${number(row.priority)}</span>` : ""}` },
  { label: "Submitted", cell: (row) => html`<time datetime=${row.submitted_at} title=${dateTime(row.submitted_at)}>${ago(row.submitted_at, now)}</time>${times(row, now).map((words) => html`<span class="muted small">${words}</span>`)}` },
  ...columnIf(mayOperate, { label: "Actions", isLabelHidden: true, align: "end", cell: (row) => html`<${RowActions} row=${row} open=${open} reload=${reload} />` }),
];

/** "waited 6 s", "ran 2 s". @param {any} row @param {number} now */
function times(row, now) {
  const between = (/** @type {string} */ from, /** @type {string | null} */ to) => duration(Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000));
  const waited = `waited ${between(row.submitted_at, row.started_at ?? row.finished_at)}`;
  return row.started_at ? [waited, `ran ${between(row.started_at, row.finished_at)}`] : [waited];
}

/** Details of a state, by state. @type {Record<string, (row: any) => string>} */
const MORE = {
  queued: (row) => `position ${number(row.position)}`,
  running: ({ progress }) => (progress ? `${progress.done}/${progress.total}` : ""),
  failed: (row) => row.error_type,
  cancelled: whyCancelled,
};

/** @param {{row: any}} props */
function StateOf({ row }) {
  const more = MORE[row.state]?.(row);
  return html`<${State} state=${row.state} />${more && html`<span class="muted small wrapped">${more}</span>`}${row.retried_as && html`<a class="small" href=${href("requests", row.retried_as)}>queued again</a>`}${row.worker && html`<span class="muted small worker" title=${row.worker}>${row.worker}</span>`}`;
}

/** @param {{row: any, open: (dialog: any) => void, reload: () => void}} props */
function RowActions({ row, open, reload }) {
  const name = shortId(row.id);
  return html`
    <span class="row-actions">
      ${row.state === "queued" &&
      html`<button class="small" aria-label=${`To the front… ${name}`} title="To the front of the queue" onClick=${async () => (await moveToFront(row)) && reload()}>Front…</button>
        <button class="small" aria-label=${`Priority… ${name}`} onClick=${() => open({ item: row })}>Priority…</button>`}
      ${verbsFor(row.state)
        .filter((verb) => fits(verb, row) && (verb !== "delete" || row.state !== "queued"))
        .map((verb) => html`<button key=${verb} class="small" aria-label=${`${word(verb)}… ${name}`} onClick=${() => open({ verb, items: [row] })}>${word(verb)}…</button>`)}
    </span>
  `;
}
