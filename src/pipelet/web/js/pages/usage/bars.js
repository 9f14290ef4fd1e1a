// @ts-check
/** Stacked bars, one for each day. The figures of the day under the cursor are in the legend; else those of all days. */

import { dayLabel, stack } from "../../lib/usage/days.js";
import uPlot from "../../../vendor/uplot.js";
import { html, useEffect, useRef, useState } from "../../../vendor/preact.js";

const HEIGHT = 240;
const COLOURS = 5;

/** @param {{title: string, days: string[], layers: import("../../lib/usage/days.js").Layer[], format: (value: number) => string}} props */
export function Bars({ title, days, layers, format }) {
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  return html`
    <figure class="bars" aria-label=${title}>
      <figcaption class="muted small">${at === null ? `${dayLabel(days[0])} to ${dayLabel(days[days.length - 1])}` : dayLabel(days[at])}</figcaption>
      <ul class="legend">
        ${layers.map(({ app, values, total }, k) => html`<li key=${app} class=${`layer-${k % COLOURS}`}><span>${app}</span> <b>${format(at === null ? total : values[at])}</b></li>`)}
      </ul>
      <${Canvas} days=${days} layers=${layers} format=${format} onCursor=${setAt} />
    </figure>
  `;
}

/** @param {any} props */
function Canvas({ days, layers, format, onCursor }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (place.current);
    // The largest bars are behind: each is as high as its layer and those below it.
    const data = [days.map((/** @type {string} */ _, /** @type {number} */ k) => k), ...stack(layers).reverse()];
    const plot = new uPlot(options(element, days, layers.length, format, onCursor), data, element);
    const follow = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    follow.observe(element);
    const endColours = onColours(() => plot.redraw(false));
    return () => {
      follow.disconnect();
      endColours();
      plot.destroy();
    };
  }, [days.join(), layers, format]);
  return html`<div class="plot" ref=${place} aria-hidden="true">${layers.map((/** @type {any} */ _, /** @type {number} */ k) => html`<i class=${`layer-${k % COLOURS}`}></i>`)}</div>`;
}

/** @param {HTMLElement} element @param {string[]} days @param {number} layers @param {(value: number) => string} format @param {(at: number | null) => void} onCursor @returns {any} */
function options(element, days, layers, format, onCursor) {
  // Custom properties hold both schemes: what is computed of them is the colour of the one in use.
  const colour = (/** @type {number} */ k) => () => getComputedStyle(element.children[k]).color;
  const text = () => getComputedStyle(element).color;
  const grid = () => getComputedStyle(element).borderTopColor;
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { show: false } },
    scales: {
      x: { time: false, range: () => [-0.6, days.length - 0.4] },
      y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, most > 0 ? 1.1 * most : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 30, incrs: [1, 2, 7, 14, 30, 60], space: 56, values: (/** @type {any} */ _, /** @type {number[]} */ marks) => marks.map((k) => (days[k] ? dayLabel(days[k]) : "")) },
      { ...axis, size: 62, values: (/** @type {any} */ _, /** @type {number[]} */ marks) => marks.map(format) },
    ],
    series: [
      {},
      ...Array.from({ length: layers }, (_, k) => ({
        fill: colour(layers - 1 - k),
        stroke: colour(layers - 1 - k),
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars?.({ size: [0.7, 64] }),
      })),
    ],
    hooks: { setCursor: [(/** @type {any} */ plot) => onCursor(plot.cursor.idx ?? null)] },
  };
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
