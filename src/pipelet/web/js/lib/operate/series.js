// @ts-check
/** Series of the API as charts take them: one array of times in seconds, and one array of values for each line. */

/** @typedef {{at: string, value?: number | null, p50?: number | null, p95?: number | null}} Point */
/** @typedef {{name: string, step: number, series: {app: string, points: Point[]}[]}} Series */
/** @typedef {{label: string, values: (number | null)[]}} Line */
/** @typedef {{times: number[], lines: Line[], isSparse: boolean}} ChartData `isSparse`: steps without a value say nothing */

/** Ranges of the charts: seconds in all and of each step. */
export const RANGES = [
  { id: "1h", label: "1 hour", seconds: 3_600, step: 60 },
  { id: "24h", label: "24 hours", seconds: 86_400, step: 300 },
  { id: "7d", label: "7 days", seconds: 604_800, step: 1_800 },
];

/** Begins of all steps of a range, in seconds. @param {{seconds: number}} range @param {number} step s @param {number} now s */
export function stepTimes({ seconds }, step, now) {
  const end = Math.floor(now / step) * step;
  const count = Math.floor(seconds / step);
  return Array.from({ length: count + 1 }, (_, k) => end - step * (count - k));
}

/**
 * @param {Series} series
 * @param {{seconds: number}} range
 * @param {{app?: string, now: number, as: "sum" | "rate" | "percentiles", fill?: boolean}} options
 *   `app`: of this one alone; `sum` adds apps up, `rate` per minute, too; `percentiles` has two lines for each app;
 *   `fill`: steps without a sample count as zero, where the service was there
 */
export function chartData(series, range, { app = "", now, as, fill = false }) {
  const times = stepTimes(range, series.step, now);
  const index = new Map(times.map((time, k) => [time, k]));
  const chosen = series.series.filter((each) => !app || each.app === app);
  const spread = (/** @type {Point[]} */ points, /** @type {"value" | "p50" | "p95"} */ name) => {
    const values = /** @type {(number | null)[]} */ (times.map(() => null));
    for (const point of points) {
      const k = index.get(Date.parse(point.at) / 1000);
      if (k !== undefined) values[k] = point[name] ?? null;
    }
    return values;
  };
  if (as === "percentiles") {
    const lines = chosen.flatMap((each) => {
      const before = chosen.length > 1 ? `${each.app} ` : "";
      return [
        { label: `${before}p50`, values: spread(each.points, "p50") },
        { label: `${before}p95`, values: spread(each.points, "p95") },
      ];
    });
    return { times, lines, isSparse: true };
  }
  const total = /** @type {(number | null)[]} */ (times.map(() => (fill ? 0 : null)));
  for (const each of chosen) {
    spread(each.points, "value").forEach((value, k) => {
      if (value !== null) total[k] = (total[k] ?? 0) + value;
    });
  }
  const scale = as === "rate" ? 60 / series.step : 1;
  const values = total.map((value) => (value === null ? null : value * scale));
  return { times, lines: [{ label: "", values }], isSparse: false };
}

/** The last value that there is; null if there is none. @param {(number | null)[]} values */
export const latest = (values) => values.findLast((value) => value !== null) ?? null;

/** Rows of the table that says the same as a chart, newest first, without steps that have no value. @param {ChartData} data */
export function tableRows({ times, lines }) {
  const rows = times.map((time, k) => ({ time, values: lines.map((line) => line.values[k]) }));
  return rows.filter(({ values }) => values.some((value) => value !== null)).reverse();
}
