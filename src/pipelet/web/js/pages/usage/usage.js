// @ts-check
/** What the user's own requests have cost, and how much of each limit is used. */

import { SelectField, TextField } from "../../components/fields.js";
import { useLoad, useTitle } from "../../components/hooks.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { Table } from "../../components/table.js";
import { orToast } from "../../components/toast.js";
import { api, session } from "../../context.js";
import { duration, number, plural } from "../../lib/format.js";
import { replaceQuery } from "../../lib/router.js";
import { PERIODS, dayLabel, daysBetween, layersOf, readPeriod, sumBy } from "../../lib/usage/days.js";
import { html, useState } from "../../../vendor/preact.js";
import { Bars } from "./bars.js";
import { Limits, useAfterChanges } from "./limits.js";

export const styles = ["usage.css", "../vendor/uplot.css"];

/** @type {[import("../../lib/usage/days.js").Figure, string, (value: number) => string][]} */
const FIGURES = [
  ["images", "Images", number],
  ["requests", "Requests", number],
  ["device_seconds", "Device time", (value) => duration(value)],
  ["megapixels", "Megapixels", (value) => number(Math.round(10 * value) / 10)],
];
const CHOICES = [...Object.entries(PERIODS).map(([key, days]) => [key, `Last ${days} days`]), ["days", "Days…"]];

/** @param {{query: Record<string, string>}} props */
export default function Usage({ query }) {
  useTitle("Usage");
  const { period, from, to } = readPeriod(query);
  const user = session.state.get().info?.user;
  const wanted = { from, to, by: "day,app", user };
  const { data, error, reload } = useLoad((signal) => api.get("usage", { query: wanted, signal }), [from, to, user]);
  useAfterChanges(reload);
  const setPeriod = (/** @type {string} */ value) =>
    replaceQuery(value === "days" ? { period: null, from, to } : { period: value, from: null, to: null });
  return html`
    <div class="page-head">
      <h1>Usage</h1>
      <div class="row period">
        <${SelectField} label="Time" isLabelHidden value=${period} onInput=${setPeriod} options=${CHOICES} />
        ${period === "days" && html`
          <${TextField} label="From" isLabelHidden type="date" value=${from} max=${to} onInput=${(/** @type {string} */ day) => day && replaceQuery({ from: day, to })} />
          <${TextField} label="To" isLabelHidden type="date" value=${to} min=${from} onInput=${(/** @type {string} */ day) => day && replaceQuery({ from, to: day })} />`}
        <button disabled=${!data?.items.length} onClick=${() => download(wanted)}>Download CSV</button>
      </div>
    </div>
    <div class="usage">
      <section class="stack" aria-label="Requests that ended">
        ${error && !data ? html`<${Failure} error=${error} retry=${reload} />` : !data ? html`<${Loading} />` : html`<${Report} data=${data} days=${daysBetween(from, to)} figure=${query.figure} />`}
      </section>
      <${Limits} />
    </div>
  `;
}

/** @param {{data: any, days: string[], figure: string | undefined}} props */
function Report({ data, days, figure }) {
  if (!data.items.length) {
    return html`<div class="card"><${Empty} title="No request ended in this time"><p>What you generate is counted here when it has ended.</p><//></div>`;
  }
  const [name, words, format] = FIGURES.find(([each]) => each === figure) ?? FIGURES[0];
  const { total } = data;
  return html`
    <div class="figures" role="group" aria-label="Figure of the chart">
      ${FIGURES.map(([each, label, text]) => html`
        <button key=${each} class="figure" aria-pressed=${each === name} onClick=${() => replaceQuery({ figure: each === "images" ? null : each })}>
          <span class="muted small">${label}</span> <b>${text(total[each])}</b>
        </button>`)}
    </div>
    <p class="muted small">${endings(total)} Days are UTC. Failed requests cost nothing.</p>
    <div class="card stack">
      <h2>${words} by day</h2>
      <${Bars} key=${name} title=${`${words} by day`} days=${days} layers=${layersOf(data.items, days, name)} format=${format} />
      <${Details} items=${data.items} />
    </div>
    <${Sums} caption="By app" label="App" items=${sumBy(data.items, "app")} name=${(/** @type {any} */ item) => item.app} />
  `;
}

/** @param {any} total */
const endings = ({ requests, failed, cancelled }) =>
  `${plural(requests, "request")} ended: ${number(requests - failed - cancelled)} done, ${number(failed)} failed, ${number(cancelled)} cancelled.`;

/** The chart as a table, made once it is opened. @param {{items: any[]}} props */
function Details({ items }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <details onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
      <summary class="small">Show as table</summary>
      ${isOpen && html`<${Sums} caption="By day" label="Day" items=${sumBy(items, "day")} name=${(/** @type {any} */ item) => html`<time datetime=${item.day}>${dayLabel(item.day)}</time>`} />`}
    </details>
  `;
}

/** @param {{caption: string, label: string, items: any[], name: (item: any) => any}} props */
function Sums({ caption, label, items, name }) {
  const columns = [
    { label, cell: name, isHeader: true },
    ...FIGURES.map(([each, words, format]) => ({ label: words, align: "end", cell: (/** @type {any} */ item) => format(item[each]) })),
    { label: "Failed", align: "end", cell: (/** @type {any} */ item) => number(item.failed) },
    { label: "Cancelled", align: "end", cell: (/** @type {any} */ item) => number(item.cancelled) },
  ];
  return html`<${Table} caption=${caption} columns=${columns} rows=${items} rowKey=${(/** @type {any} */ item) => `${item.day} ${item.app}`} />`;
}

/** The service makes the file: names in it are safe for spreadsheets. @param {any} query */
async function download(query) {
  const blob = await orToast(api.get("usage", { query, headers: { Accept: "text/csv" }, read: "blob" }));
  if (!blob) return;
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: `usage-${query.from}-${query.to}.csv` }).click();
  URL.revokeObjectURL(url);
}
