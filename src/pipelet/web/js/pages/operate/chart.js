// @ts-check
/** A chart with uPlot, and a table that says the same: a canvas tells a screen reader nothing. */

import { Table } from "../../components/table.js";
import { latest, tableRows } from "../../lib/operate/series.js";
import uPlot from "../../../vendor/uplot.js";
import { html, useEffect, useRef, useState } from "../../../vendor/preact.js";

const HEIGHT = 170;
const COLOURS = 6;
const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY_TIME = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** @param {number} seconds @param {boolean} isLong */
const timeText = (seconds, isLong) => (isLong ? DAY_TIME : TIME).format(new Date(1000 * seconds));

/**
 * @param {{title: string, data: import("../../lib/operate/series.js").ChartData, format: (value: number | null) => string, isLong?: boolean,
 *   heading?: string}} props  `isLong`: its times need a day; `heading`: the element of its title
 */
export function Chart({ title, data, format, isLong = false, heading = "h3" }) {
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const isEmpty = data.lines.every((line) => latest(line.values) === null);
  const shown = (/** @type {(number | null)[]} */ values) => (at === null ? latest(values) : values[at]);
  return html`
    <figure class="card chart">
      <figcaption>
        <${heading}>${title}<//>
        <span class="muted small">${at === null ? "latest" : timeText(data.times[at], isLong)}</span>
      </figcaption>
      <ul class="legend">
        ${data.lines.map(
          (line, k) => html`<li key=${line.label} class=${`line-${k % COLOURS}`}>${line.label && html`<span class="muted">${line.label}</span>`} <b>${format(shown(line.values) ?? null)}</b></li>`,
        )}
      </ul>
      ${isEmpty
        ? html`<p class="muted small no-data">Nothing in this time.</p>`
        : html`<${Canvas} data=${data} format=${format} isLong=${isLong} onCursor=${setAt} />`}
      <details>
        <summary class="small">Show as table</summary>
        <${Rows} title=${title} data=${data} format=${format} isLong=${isLong} />
      </details>
    </figure>
  `;
}

/** Drawn only once it is opened: a chart has hundreds of steps. @param {any} props */
function Rows({ title, data, format, isLong }) {
  const anchor = useRef(/** @type {HTMLElement | null} */ (null));
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const details = anchor.current?.closest("details");
    const onToggle = () => setOpen(Boolean(details?.open));
    details?.addEventListener("toggle", onToggle);
    return () => details?.removeEventListener("toggle", onToggle);
  }, []);
  /** @type {import("./live.js").Column[]} */
  const columns = [
    { label: "Time", cell: (row) => timeText(row.time, isLong), isHeader: true },
    ...data.lines.map((/** @type {any} */ line, /** @type {number} */ k) => ({
      label: line.label || title,
      align: "end",
      cell: (/** @type {any} */ row) => format(row.values[k]),
    })),
  ];
  return html`<div ref=${anchor} class="chart-table">
    ${isOpen && html`<${Table} caption=${title} isCaptionHidden rows=${tableRows(data)} rowKey=${(/** @type {any} */ row) => String(row.time)} columns=${columns} />`}
  </div>`;
}

/** @param {any} props */
function Canvas({ data, format, isLong, onCursor }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const shape = data.lines.map((/** @type {any} */ line) => line.label).join();
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (place.current);
    plot.current = new uPlot(options(element, data, format, isLong, onCursor), valuesOf(data), element);
    const follow = new ResizeObserver(() => plot.current.setSize({ width: element.clientWidth, height: HEIGHT }));
    follow.observe(element);
    const endColours = onColours(() => plot.current.redraw(false));
    return () => {
      follow.disconnect();
      endColours();
      plot.current.destroy();
    };
  }, [shape, isLong]);
  useEffect(() => plot.current.setData(valuesOf(data)), [data]);
  return html`<div class="plot" ref=${place} aria-hidden="true">
    ${data.lines.map((/** @type {any} */ _, /** @type {number} */ k) => html`<span class=${`line-${k % COLOURS}`}></span>`)}
  </div>`;
}

/** @param {import("../../lib/operate/series.js").ChartData} data @returns {any} */
const valuesOf = (data) => [data.times, ...data.lines.map((line) => line.values)];

/** @param {HTMLElement} element @param {any} data @param {any} format @param {boolean} isLong @param {(at: number | null) => void} onCursor @returns {any} */
function options(element, data, format, isLong, onCursor) {
  // Custom properties hold both schemes: what is computed of them is the colour of the one in use.
  const colour = (/** @type {number} */ k) => () => getComputedStyle(element.children[k]).color;
  const text = () => getComputedStyle(element).color;
  const grid = () => getComputedStyle(element).borderTopColor;
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, values: (/** @type {any} */ _, /** @type {number[]} */ times) => times.map((time) => timeLabel(time, isLong)), space: isLong ? 80 : 60, size: 30 },
      { ...axis, values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map((value) => format(value)), size: widthOf },
    ],
    series: [
      {},
      ...data.lines.map((/** @type {any} */ line, /** @type {number} */ k) => ({
        label: line.label,
        stroke: colour(k),
        width: 2,
        spanGaps: data.isSparse,
        dash: k % 2 ? [4, 3] : undefined,
        points: { show: (/** @type {any} */ u) => u.data[0].length < 80 && u.data[k + 1].filter((/** @type {any} */ v) => v !== null).length < 20, size: 5 },
      })),
    ],
    hooks: { setCursor: [(/** @type {any} */ u) => onCursor(u.cursor.idx ?? null)] },
  };
}

/** Room for the longest label of the axis, in pixels. @param {any} u @param {string[] | null} labels */
const widthOf = (u, labels) => 18 + 6.5 * Math.max(...(labels ?? []).map((label) => label.length), 4);

/** Midnights have the day, other times the hour. @param {number} time @param {boolean} isLong */
function timeLabel(time, isLong) {
  const date = new Date(1000 * time);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return isLong && isMidnight ? date.toLocaleDateString("en", { month: "short", day: "numeric" }) : timeText(time, false);
}

/** Calls `run` when the page turns light or dark; returns what ends that. @param {() => void} run */
function onColours(run) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(run);
  media.addEventListener("change", run);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => {
    media.removeEventListener("change", run);
    observer.disconnect();
  };
}
