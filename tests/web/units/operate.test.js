// The logic of the operator's desk.
import assert from "node:assert/strict";
import { test } from "node:test";

import { KEY_LIMITS, USER_LIMITS, changesInWords, imagesByDay, joinReads, lastDays, limitsInWords, readLimits, toForm } from "../../../src/pipelet/web/js/lib/operate/accounts.js";
import { byKind, overTime } from "../../../src/pipelet/web/js/lib/operate/failures.js";
import { addressOf, apiFilter, bulkFilter, describeFilter, readFilter } from "../../../src/pipelet/web/js/lib/operate/filters.js";
import { RANGES, chartData, latest, tableRows } from "../../../src/pipelet/web/js/lib/operate/series.js";

test("an address becomes a filter, without what the API would refuse", () => {
  const query = { state: "failed", user: " ada ", priority: "-1", range: "7d", q: "" };

  assert.deepEqual(readFilter(query), { state: "failed", user: "ada", priority: "-1" });
  assert.deepEqual(readFilter({ state: "lost", priority: "high" }), {});
});

test("a filter finds the requests of all users, unless it names one", () => {
  assert.deepEqual(apiFilter({ state: "failed" }), { state: "failed", user: "*" });
  assert.equal(apiFilter({ user: "ada" }).user, "ada");
  assert.deepEqual(bulkFilter({ priority: "5" }), { priority: 5, user: "*" });
});

test("the filter of a failure becomes an address, and finds the same", () => {
  const filter = { state: "failed", app: "a", error_type: "out_of_memory", since: 1_796_000_000.5 };

  const address = addressOf(filter);

  assert.deepEqual(readFilter(address), { ...filter, since: "2026-11-30T00:53:20.500Z" });
});

test("filters read as words", () => {
  assert.equal(describeFilter({}), "all requests");
  assert.match(describeFilter({ state: "failed", since: 1796000430 }), /^failed requests since Nov 30, 2026, /);
  assert.equal(describeFilter({ state: "queued", user: "*" }), "queued requests");
  assert.equal(describeFilter({ state: "failed", app: "a", user: "ada" }), "failed requests of the app a, of the user ada");
});

const HOUR = RANGES[0];
const NOW = 1_796_000_430;
const at = (minutes) => new Date(1000 * (Math.floor(NOW / 60) * 60 - 60 * minutes)).toISOString();
const SERIES = {
  name: "depth",
  step: 60,
  series: [
    { app: "a", points: [{ at: at(2), value: 4 }, { at: at(0), value: 6 }] },
    { app: "b", points: [{ at: at(2), value: 1 }] },
  ],
};

test("a chart has a value for each step, summed over apps", () => {
  const { times, lines } = chartData(SERIES, HOUR, { now: NOW, as: "sum" });

  assert.equal(times.length, 61);
  assert.equal(times.at(-1) - times[0], 3600);
  assert.deepEqual(lines[0].values.slice(-3), [5, null, 6]);
  assert.equal(latest(lines[0].values), 6);
  assert.deepEqual(chartData(SERIES, HOUR, { app: "b", now: NOW, as: "sum" }).lines[0].values.slice(-3), [1, null, null]);
});

test("a rate is by the minute, and zero where nothing was counted", () => {
  const series = { ...SERIES, step: 300, series: [{ app: "a", points: [{ at: new Date(300_000 * Math.floor(NOW / 300)).toISOString(), value: 10 }] }] };

  assert.deepEqual(chartData(series, RANGES[1], { now: NOW, as: "rate", fill: true }).lines[0].values.slice(-2), [0, 2]);
});

test("percentiles have two lines for each app, which no gap ends", () => {
  const series = { ...SERIES, series: [{ app: "a", points: [{ at: at(1), p50: 1, p95: 3 }] }] };
  const one = chartData(series, HOUR, { now: NOW, as: "percentiles" });
  const two = chartData({ ...series, series: [...series.series, { app: "b", points: [] }] }, HOUR, { now: NOW, as: "percentiles" });

  assert.deepEqual(one.lines.map((line) => line.label), ["p50", "p95"]);
  assert.ok(one.isSparse);
  assert.deepEqual(two.lines.map((line) => line.label), ["a p50", "a p95", "b p50", "b p95"]);
  assert.deepEqual(tableRows(one), [{ time: one.times.at(-2), values: [1, 3] }]);
});

test("failures are grouped by kind, the largest first", () => {
  const failure = (app, error_type, requests, since) => ({
    app, error_type, message: "m", worker: null, requests, first_seen_at: "2026-11-30", last_seen_at: `2026-11-30T0${requests}`, retried: 1, filter: { state: "failed", app, error_type, since },
  });

  const [first, second] = byKind([failure("a", "x", 1, 5), failure("a", "y", 4, 6), failure("b", "x", 5, 3)]);

  assert.deepEqual([first.kind, first.requests, first.retried, first.items.length, first.last_seen_at], ["x", 6, 2, 2, "2026-11-30T05"]);
  assert.deepEqual(first.filter, { state: "failed", error_type: "x", since: 3 });
  assert.equal(second.kind, "y");
});

test("failures over time have a line for each kind, the most frequent first", () => {
  const series = [{ error_type: "x", points: [{ at: at(2), value: 1 }] }, { error_type: "y", points: [{ at: at(1), value: 2 }] }];

  const { lines } = overTime(series, HOUR, NOW);

  assert.deepEqual(lines.map(({ label }) => label), ["y", "x"]);
  assert.deepEqual(lines.map(({ values }) => values.slice(-3)), [[0, 2, 0], [1, 0, 0]]);
});

test("a form of limits sends what has changed, and nothing else", () => {
  const before = { max_priority: null, max_queued_images: 1000, max_running_images: 4, submit_burst: 100, max_stored_bytes: 20 * 2 ** 30 };
  const form = toForm(USER_LIMITS, before);

  assert.equal(form.max_stored_bytes, "20");
  assert.deepEqual(readLimits(USER_LIMITS, form, before), { changes: {}, errors: {} });
  const changed = { ...form, max_queued_images: "", max_stored_bytes: "0.5", max_priority: "-2" };
  assert.deepEqual(readLimits(USER_LIMITS, changed, before).changes, { max_queued_images: null, max_stored_bytes: 2 ** 29, max_priority: -2 });
});

test("a form of limits says what is wrong at its fields", () => {
  const form = { max_priority: "", max_queued_images: "0", max_running_images: "1.5" };

  assert.deepEqual(Object.keys(readLimits(KEY_LIMITS, form, {}).errors), ["max_queued_images", "max_running_images"]);
  assert.ok(readLimits(USER_LIMITS, { ...toForm(USER_LIMITS, { submit_burst: 100 }), submit_burst: "" }, { submit_burst: 100 }).errors.submit_burst);
});

test("keys and the audit trail read as words", () => {
  assert.equal(limitsInWords({ max_queued_images: 4, max_running_images: null, max_priority: 0 }), "4 queued, priority ≤ 0");
  assert.equal(limitsInWords({ max_queued_images: null, max_running_images: null, max_priority: null }), "none");
  assert.deepEqual(changesInWords({ before: { max_priority: 5 }, after: { max_priority: null } }), ["max_priority: 5 → none"]);
  assert.deepEqual(changesInWords({ before: null, after: { paused_at: 0 } }), ["paused_at: 1970-01-01 00:00"]);
});

test("a list that was read with its content is one entry of the trail", () => {
  const read = (id, target, user = "ada") => ({ id, action: "requests.read_content", user, key: "k", address: null, target });
  const pause = { id: 4, action: "apps.pause", user: "ada", key: "k", address: null, target: "a" };

  const rows = joinReads([read(1, "x"), read(2, "y"), read(3, "z", "bob"), pause, { ...pause, id: 5 }]);

  assert.deepEqual(rows.map((row) => row.targets), [["x", "y"], ["z"], ["a"], ["a"]]);
});

test("the usage of a key has a value for each of thirty days", () => {
  const days = lastDays(Date.parse("2026-11-30T12:00:00Z"));
  const items = [{ key_id: "k", day: "2026-11-30", images: 3 }, { key_id: "other", day: "2026-11-29", images: 9 }];

  assert.deepEqual([days.length, days[0]], [30, "2026-11-01"]);
  assert.deepEqual(imagesByDay(items, "k", days).slice(-2), [0, 3]);
});
