import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, bytes, duration, left, number, plural, shortId } from "../../../src/pipelet/web/js/lib/format.js";

const each = (format, pairs) => pairs.forEach(([value, text]) => assert.equal(format(value), text, `of ${value}`));
const NOW = Date.parse("2026-11-30T12:00:00Z");
const at = (seconds) => new Date(NOW + 1000 * seconds).toISOString();

test("durations have two units at most", () => {
  each(duration, [[0.42, "0.4 s"], [9.94, "9.9 s"], [9.96, "10 s"], [59.6, "1 min"], [95, "1 min 35 s"], [7260, "2 h 1 min"],
    [172_800, "2 d"], [null, "–"], [NaN, "–"]]);
});

test("sizes have the unit that suits them", () => {
  each(bytes, [[0, "0 bytes"], [1023, "1,023 bytes"], [1536, "1.5 KiB"], [11_534_336, "11 MiB"], [20 * 2 ** 30, "20 GiB"],
    [2 ** 60, "1,048,576 TiB"], [null, "–"]]);
});

test("counts are grouped, and their words agree", () => {
  each(number, [[1204, "1,204"], [0, "0"], [undefined, "–"]]);
  assert.deepEqual([plural(1, "image"), plural(1204, "image"), plural(2, "entry", "entries")], ["1 image", "1,204 images", "2 entries"]);
});

test("times are told as a person would", () => {
  each((seconds) => ago(at(seconds), NOW), [[-3, "just now"], [-40, "40 seconds ago"], [-60, "1 minute ago"], [-90_000, "25 hours ago"],
    [-172_800, "2 days ago"], [5, "just now"]]);
  each((seconds) => left(at(seconds), NOW), [[30, "less than a minute left"], [3600, "1 hour left"], [600_000, "6 days left"]]);
  assert.equal(ago(null), "–");
});

test("ids are cut where they are only a hint", () => assert.equal(shortId("rn5r12q9pdu6yvb3nxty"), "rn5r12q9"));
