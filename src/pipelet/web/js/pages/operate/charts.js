// @ts-check
/** The charts of the overview: queue, rates, waits, failures and the error of estimates. */

import { Segments, SelectField } from "../../components/fields.js";
import { useLoad, useReload } from "../../components/hooks.js";
import { Failure, Loading } from "../../components/states.js";
import { api } from "../../context.js";
import { duration, number } from "../../lib/format.js";
import { replaceQuery } from "../../lib/router.js";
import { RANGES, chartData } from "../../lib/operate/series.js";
import { html, useMemo } from "../../../vendor/preact.js";
import { Chart } from "./chart.js";

const RELOAD_MS = 60_000;

/** @param {number | null} value */
const rate = (value) => (value === null ? "–" : number(Math.round(value * 10) / 10));
/** @param {number | null} value */
const seconds = (value) => (value !== null && value > 0 && value < 1 ? `${Math.round(1000 * value)} ms` : duration(value));
/** @param {number | null} value */
const share = (value) => (value === null ? "–" : `${number(Math.round(100 * value))} %`);

/** @type {{name: string, title: string, as: "sum" | "rate" | "percentiles", fill?: boolean, format: (value: number | null) => string}[]} */
const CHARTS = [
  { name: "depth", title: "Requests that wait", as: "sum", format: number },
  { name: "finished", title: "Finished per minute", as: "rate", fill: true, format: rate },
  { name: "queue_wait", title: "Wait for the start", as: "percentiles", format: seconds },
  { name: "total", title: "From submit to result", as: "percentiles", format: seconds },
  { name: "failed", title: "Failed requests", as: "sum", fill: true, format: number },
  { name: "estimate_error", title: "Error of the estimate", as: "percentiles", format: share },
];

/** @param {{range: typeof RANGES[number]}} props */
export const RangeField = ({ range }) =>
  html`<${Segments} label="Range" value=${range.id} options=${RANGES.map(({ id, label }) => [id, label])} onInput=${(/** @type {string} */ id) => replaceQuery({ range: id })} />`;

/** @param {{query: Record<string, string>, apps: string[]}} props */
export function Charts({ query, apps }) {
  const range = RANGES.find(({ id }) => id === query.range) ?? RANGES[0];
  const app = apps.includes(query.app) ? query.app : "";
  return html`
    <section class="stack" aria-labelledby="charts">
      <div class="row spread">
        <h2 id="charts">Over time</h2>
        <div class="row">
          ${apps.length > 1 &&
          html`<${SelectField} label="App" isLabelHidden value=${app} onInput=${(/** @type {string} */ value) => replaceQuery({ app: value || null })}
            options=${[["", "All apps"], ...apps.map((name) => [name, name])]} />`}
          <${RangeField} range=${range} />
        </div>
      </div>
      <div class="charts">${CHARTS.map((chart) => html`<${Loaded} key=${chart.name} chart=${chart} range=${range} app=${app} />`)}</div>
    </section>
  `;
}

/** @param {{chart: typeof CHARTS[number], range: typeof RANGES[number], app: string}} props */
function Loaded({ chart, range, app }) {
  const { name, title, as, fill, format } = chart;
  const { data, error, reload } = useLoad(
    async (signal) => {
      const now = Date.now() / 1000;
      const query = { name, since: Math.floor(now - range.seconds), step: range.step };
      return { now, series: await api.get("operate/series", { query, signal }) };
    },
    [name, range],
  );
  useReload(reload, RELOAD_MS);
  const shown = useMemo(() => data && chartData(data.series, range, { app, now: data.now, as, fill }), [data, app]);
  if (shown) return html`<${Chart} title=${title} data=${shown} format=${format} isLong=${range.seconds > 86_400} />`;
  return html`<div class="card chart"><h3>${title}</h3>${error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`}</div>`;
}
