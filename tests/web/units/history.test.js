import assert from "node:assert/strict";
import { test } from "node:test";

import { apiFilter, fits, isFiltered, readFilter, untilShown } from "../../../src/pipelet/web/js/lib/history/filter.js";
import { createListing, rowsOf } from "../../../src/pipelet/web/js/lib/history/listing.js";
import { NONE, everything, extend, step, toggle, within } from "../../../src/pipelet/web/js/lib/history/selection.js";

const NOW = Date.parse("2026-11-30T12:00:00Z");
const ORDER = ["a", "b", "c", "d", "e"];
const item = (id, minute, more = {}) => ({ id, state: "succeeded", submitted_at: `2026-11-30T11:${String(minute).padStart(2, "0")}:00.000Z`, ...more });
const ids = (items) => items.map((each) => each.id).join("");

test("an address is read as far as it means something", () => {
  const filter = readFilter({ q: " apple ", state: "done", time: "8d", app: "a", view: "list", other: "x" });
  assert.deepEqual(filter, { q: "apple", state: "", app: "a", error_type: "", time: "", from: "", to: "" });
  assert.equal(isFiltered(filter), true);
  assert.equal(isFiltered(readFilter({ view: "list" })), false);
  assert.equal(readFilter({ from: "2026-11-01" }).time, "days");
  assert.equal(isFiltered(readFilter({ time: "days" })), false);
});

test("times of a filter are those of now, and days are whole ones of this browser", () => {
  assert.deepEqual(apiFilter(readFilter({ state: "failed", time: "24h" }), NOW), { state: "failed", since: "2026-11-29T12:00:00.000Z" });
  const { since, until } = apiFilter(readFilter({ from: "2026-11-01", to: "2026-11-30" }), NOW);
  assert.deepEqual([new Date(since), new Date(until)], [new Date(2026, 10, 1), new Date(2026, 11, 1)]);
  assert.deepEqual(apiFilter(readFilter({ from: "2026-99-99" }), NOW).until, undefined);
});

test("a request of the stream fits a filter as the service would say", () => {
  const apple = { id: "x1", app: "a", state: "failed", error_type: "out_of_memory", submitted_at: "2026-11-30T11:00:00Z", input: { prompt: "A red APPLE" } };
  for (const query of [{}, { q: "apple" }, { q: "x1" }, { state: "failed" }, { app: "a" }, { error_type: "out_of_memory" }, { time: "24h" }]) {
    assert.equal(fits(apple, apiFilter(readFilter(query), NOW)), true, JSON.stringify(query));
  }
  for (const query of [{ q: "lemon" }, { q: "x" }, { state: "queued" }, { app: "b" }, { time: "1h" }, { to: "2026-11-01" }]) {
    assert.equal(fits(apple, apiFilter(readFilter(query), NOW + 1)), false, JSON.stringify(query));
  }
  assert.equal(fits({ ...apple, input: null }, { q: "apple" }), false);
});

test("an action on all that match means what was there when it was chosen", () => {
  assert.equal(untilShown({ state: "failed" }, "2026-11-30T11:00:00.123Z").until, "2026-11-30T11:00:00.124Z");
  assert.equal(untilShown({ until: "2026-11-01T00:00:00.000Z" }, "2026-11-30T11:00:00.123Z").until, "2026-11-01T00:00:00.000Z");
});

test("a range begins at the item that was chosen last", () => {
  const one = toggle(NONE, "b");
  assert.deepEqual([...extend(one, "d", ORDER).ids], ["b", "c", "d"]);
  assert.deepEqual([...extend(one, "a", ORDER).ids].sort(), ["a", "b"]);
  assert.deepEqual([...extend(extend(one, "d", ORDER), "a", ORDER).ids].sort(), ["a", "b", "c", "d"]);
  assert.deepEqual([...extend(NONE, "c", ORDER).ids], ["c"]);
  assert.deepEqual([...toggle(one, "b").ids], []);
  assert.equal(everything(ORDER).ids.size, 5);
});

test("what is gone is not selected any more", () => {
  const all = everything(ORDER);
  assert.equal(within(all, ORDER), all);
  const { ids: rest, anchor } = within(all, ["b", "c"]);
  assert.deepEqual([[...rest], anchor], [["b", "c"], null]);
});

test("arrows move by one and by a row, and stop at the ends", () => {
  // 0 1 2
  // 3 4
  const moves = [["ArrowRight", 0, 1], ["ArrowLeft", 0, 0], ["ArrowDown", 1, 4], ["ArrowDown", 2, 4], ["ArrowDown", 4, 4], ["ArrowUp", 4, 1], ["Home", 4, 0], ["End", 0, 4]];
  for (const [key, at, to] of moves) assert.equal(step(key, at, 5, 3), to, `${key} at ${at}`);
  assert.equal(step("ArrowRight", 0, 5, 1), null);
  assert.equal(step("x", 0, 5, 3), null);
});

/** A service of `count` requests, newest first, in pages of two; `sent` notes what was asked for. */
function service(items, sent = []) {
  return async (after) => {
    sent.push(after);
    const start = after === null ? 0 : Number(after);
    return { items: items.slice(start, start + 2), next: start + 2 < items.length ? String(start + 2) : null };
  };
}

test("older pages follow the newest ones, and stay when these are read again", async () => {
  const all = [item("e", 5), item("d", 4), item("c", 3), item("b", 2), item("a", 1)];
  const listing = createListing(service(all));
  await listing.reload();
  await listing.older();
  assert.equal(ids(listing.state.get().items), "edcb");
  all.unshift(item("f", 6));
  await listing.reload();
  assert.equal(ids(listing.state.get().items), "fedcb");
  assert.equal(listing.state.get().next, "4");
});

test("a list that is read again and again grows no further than a thousand requests", async () => {
  const all = [item("a", 0), item("b", -1), item("c", -2)];
  const listing = createListing(service(all));
  for (let number = 1; number <= 2500; number += 1) {
    all.unshift(item(`n${number}`, number));
    await listing.reload();
    assert.ok(listing.state.get().items.length <= 1000);
  }
  assert.equal(listing.state.get().items[0].id, "n2500");
});

test("pages that no longer meet are not joined", async () => {
  const all = [item("b", 2), item("a", 1), item("0", 0)];
  const listing = createListing(service(all));
  await listing.reload();
  all.unshift(item("f", 6), item("e", 5), item("d", 4), item("c", 3));
  await listing.reload();
  assert.equal(ids(listing.state.get().items), "fe");
});

test("a filter that finds few requests is searched in steps, and not endlessly", async () => {
  const sent = [];
  const listing = createListing(async (after) => (sent.push(after), { items: [], next: String(sent.length) }));
  await listing.reload();
  assert.equal(sent.length, 25);
  assert.deepEqual([listing.state.get().items, listing.state.get().next], [[], "25"]);
});

test("a failure keeps what was read, and the next success forgets it", async () => {
  let fails = false;
  const load = service([item("a", 1)]);
  const listing = createListing((after) => (fails ? Promise.reject(new Error("down")) : load(after)));
  await listing.reload();
  fails = true;
  await listing.reload();
  assert.deepEqual([listing.state.get().error.message, ids(listing.state.get().items), listing.state.get().isBusy], ["down", "a", false]);
  fails = false;
  await listing.reload();
  assert.equal(listing.state.get().error, null);
});

test("of two readings the later one counts", async () => {
  const waiting = [];
  const listing = createListing(() => new Promise((resolve) => waiting.push(resolve)));
  const first = listing.reload();
  const second = listing.reload();
  waiting[1]({ items: [item("b", 2)], next: null });
  waiting[0]({ items: [item("a", 1)], next: null });
  await Promise.all([first, second]);
  assert.equal(ids(listing.state.get().items), "b");
});

test("the list shows what the stream tells", () => {
  const told = [item("z", 9, { state: "queued" }), item("y", 8, { state: "failed" }), item("c", 3, { state: "failed" }), item("a", 1)];
  const live = { newest: () => told, get: (id) => told.find((each) => each.id === id), isDeleted: (id) => id === "d" };
  const page = { items: [item("d", 4), item("c", 3, { state: "running" }), item("b", 2)], next: "2" };
  const rows = rowsOf(page, live, (each) => each.state !== "queued", () => true);
  assert.equal(ids(rows), "ycb"); // z does not fit, d is deleted, a belongs to an older page
  assert.equal(rows[1].state, "failed");
  assert.equal(ids(rowsOf({ ...page, next: null }, live, () => true)), "zycba");
});

test("what was read after its end is not told otherwise by an older event", () => {
  const told = item("a", 1, { state: "running" });
  const live = { newest: () => [told], get: () => told, isDeleted: () => false };
  assert.equal(rowsOf({ items: [item("a", 1)], next: null }, live, () => true)[0].state, "succeeded");
});
