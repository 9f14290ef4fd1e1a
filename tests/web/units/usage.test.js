import assert from "node:assert/strict";
import { test } from "node:test";

import { OTHERS, daysBetween, layersOf, readPeriod, stack, sumBy } from "../../../src/pipelet/web/js/lib/usage/days.js";
import { fill, limitLines } from "../../../src/pipelet/web/js/lib/usage/limits.js";

const NOW = Date.parse("2026-11-30T23:30:00Z");
const item = (day, app, images) => ({ day, app, images, requests: 1, megapixels: images, device_seconds: 2, failed: 0, cancelled: 0 });
const NO_LIMITS = { max_priority: null, max_queued_images: null, max_running_images: null };
const USER = { ...NO_LIMITS, max_stored_bytes: null, max_submits_per_second: null, submit_burst: 100, max_webhooks_per_minute: null };
const session = (limits, used, ofKey = {}) => ({
  user_limits: { ...USER, ...limits }, used_by_user: { queued_images: 0, running_images: 0, stored_bytes: 0, submits_left: null, ...used },
  limits: { ...NO_LIMITS, ...ofKey }, used: { queued_images: 5, running_images: null },
});

test("a period ends today, in UTC, unless the address names its days", () => {
  assert.deepEqual(readPeriod({}, NOW), { period: "30d", from: "2026-11-01", to: "2026-11-30" });
  assert.deepEqual(readPeriod({ period: "7d" }, NOW), { period: "7d", from: "2026-11-24", to: "2026-11-30" });
  assert.deepEqual(readPeriod({ from: "2026-10-02", to: "2026-10-01" }, NOW), { period: "days", from: "2026-10-01", to: "2026-10-02" });
  for (const query of [{ period: "9d" }, { from: "2026-13-01", to: "2026-13-02" }, { from: "2026-11-01" }]) assert.equal(readPeriod(query, NOW).period, "30d");
});

test("a chart has every day, and the largest app first", () => {
  const days = daysBetween("2026-02-27", "2026-03-01");
  assert.deepEqual(days, ["2026-02-27", "2026-02-28", "2026-03-01"]);
  const layers = layersOf([item(days[0], "a", 1), item(days[2], "b", 5), item(days[2], "a", 2)], days, "images");
  assert.deepEqual(layers.map(({ app, values, total }) => [app, values, total]), [["b", [0, 0, 5], 5], ["a", [1, 0, 2], 3]]);
  assert.deepEqual(stack(layers), [[0, 0, 5], [1, 0, 7]]);
  assert.deepEqual(layersOf([item("2025-01-01", "a", 1)], days, "images"), []);
});

test("small apps are added up", () => {
  const layers = layersOf([..."abcdefg"].map((app, k) => item("2026-11-30", app, 10 - k)), ["2026-11-30"], "images");
  assert.deepEqual(layers.map(({ app, total }) => [app, total]), [["a", 10], ["b", 9], ["c", 8], ["d", 7], [OTHERS, 15]]);
});

test("a table adds up by day and by app", () => {
  const items = [item("2026-11-29", "a", 1), item("2026-11-30", "a", 2), item("2026-11-30", "b", 4)];
  assert.deepEqual(sumBy(items, "day").map(({ day, images, requests }) => [day, images, requests]), [["2026-11-30", 6, 2], ["2026-11-29", 1, 1]]);
  assert.deepEqual(sumBy(items, "app").map(({ app, images }) => [app, images]), [["b", 4], ["a", 3]]);
  assert.equal(items[0].images, 1);
});

test("limits say how much of them is used", () => {
  const { user, key } = limitLines(session({ max_queued_images: 20, max_stored_bytes: 2 ** 30, max_submits_per_second: 10 }, { queued_images: 15, stored_bytes: 2 ** 30, submits_left: 90 }));
  assert.deepEqual(user.map(({ name, text }) => `${name}: ${text}`), [
    "Images in the queue: 15 of 20", "Images in generation: no limit", "Stored files: 1.0 GiB of 1.0 GiB", "Submits: 10 a second, 100 at once", "Largest priority: no limit",
  ]);
  assert.deepEqual(user.map(fill), ["near", "", "full", "", ""]);
  assert.equal(user[3].used, 10);
  assert.deepEqual(key, []);
});

test("a key that has limits of its own shows them", () => {
  const { user, key } = limitLines(session({}, { stored_bytes: 2048 }, { max_queued_images: 5, max_priority: 3 }));
  assert.equal(user[2].text, "2.0 KiB, no limit");
  assert.deepEqual(key.map(({ name, text }) => `${name}: ${text}`), ["Images in the queue: 5 of 5", "Largest priority: 3"]);
});
