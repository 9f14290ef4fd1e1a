// Actions on many requests, of a user and of an operator.
import assert from "node:assert/strict";
import { test } from "node:test";

import { allLabel, changed, countStates, filterFor, fits, fitting, outcome, question, verbsFor } from "../../../src/pipelet/web/js/lib/history/bulk.js";
import { bulkFilter, describeFilter } from "../../../src/pipelet/web/js/lib/operate/filters.js";

test("only the actions that fit a state are offered", () => {
  assert.deepEqual(verbsFor("failed"), ["retry", "delete"]);
  assert.deepEqual(verbsFor("running"), ["cancel"]);
  assert.deepEqual(verbsFor(undefined), ["retry", "cancel", "delete"]);
});

test("what was retried is not offered for another retry", () => {
  assert.ok(fits("retry", { state: "failed", retried_as: null }));
  assert.ok(!fits("retry", { state: "failed", retried_as: "copy" }));
  assert.ok(fits("delete", { state: "failed", retried_as: "copy" }));
  assert.ok(!fits("retry", { state: "running" }));
  const filter = filterFor("retry", { state: "failed" });
  assert.equal(describeFilter(filter), "failed requests that were not retried");
  assert.deepEqual(bulkFilter(filter), { state: "failed", retried: false, user: "*" });
  assert.deepEqual(filterFor("delete", { state: "failed" }), { state: "failed" });
});

test("a button for all that match says how many they are, if the list shows all", () => {
  assert.equal(allLabel("retry", 37, true), "Retry all 37 that match…");
  assert.equal(allLabel("retry", 1, true), "Retry the one that matches…");
  assert.equal(allLabel("retry", 50, false), "Retry all that match…");
});

test("a question says what happens to how many", () => {
  const counts = countStates([...Array(3).fill({ state: "queued" }), { state: "running" }, { state: "failed" }, { state: "succeeded" }]);
  assert.equal(fitting("delete", counts), 5);
  const asked = question("delete", counts, { kept: 1 });
  assert.equal(asked.title, "Delete 5 requests?");
  assert.deepEqual(asked.lines.slice(1), ["3 requests in the queue are cancelled first.", "1 request that you keep is among them.", "1 running: stays as it is."]);
  assert.equal(question("retry", counts).title, "Retry 1 request?");
  assert.match(question("retry", counts).lines[1], /3 waiting, 1 running, 1 done: stay as they are/);
  assert.deepEqual(question("cancel", { queued: 1 }).lines, ["1 in the queue leaves it and costs nothing."]);
  assert.match(question("cancel", counts).lines.join(" "), /3 in the queue leave it .* 1 running is stopped/);
});

test("an operator is asked in words for the requests of others", () => {
  const asked = question("retry", { failed: 37, succeeded: 1, running: 0 }, { isForOthers: true });

  assert.deepEqual([asked.count, asked.title, asked.confirm, asked.isDangerous], [37, "Retry 37 requests?", "Retry 37", false]);
  assert.deepEqual(asked.lines, ["Copies are queued for the same users, under new ids and within the limits of their keys.", "1 done: stays as it is."]);
  assert.match(question("cancel", { queued: 1 }, { isForOthers: true }).lines[0], /^It ends without images/);
  assert.deepEqual(question("delete", { running: 2 }, { isForOthers: true }).lines, ["There is nothing to do."]);
});

test("a result says what was left", () => {
  assert.equal(outcome("delete", { done: 36, skipped: 1 }), "36 requests deleted. 1 was left as it is.");
  assert.equal(outcome("retry", { done: 1, skipped: 0 }), "1 request queued again.");
  assert.match(changed(2, 3), /2 matched before, 3 match now/);
});
