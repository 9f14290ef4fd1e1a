import assert from "node:assert/strict";
import { test } from "node:test";

import { cancelReason, createRequests } from "../../../src/pipelet/web/js/lib/requests.js";

const item = (number, more = {}) => ({
  id: `r${number}`,
  state: "succeeded",
  submitted_at: new Date(1e12 + 1000 * number).toISOString(),
  ...more,
});

/** Requests whose listeners are called at once. */
const immediate = () => createRequests({ schedule: (run) => run() });

test("the newest come first, each as it was told last", () => {
  const requests = immediate();
  requests.take("request", item(1, { state: "queued", position: 2 }));
  requests.take("request", item(2, { state: "queued" }));
  requests.take("request", item(1, { state: "running" }));
  assert.deepEqual(requests.newest().map(({ id, state }) => [id, state]), [["r2", "queued"], ["r1", "running"]]);
  assert.equal(requests.get("r1")?.position, 2);
});

test("listeners are told once for changes of one moment", () => {
  const waiting = [];
  const requests = createRequests({ schedule: (run) => waiting.push(run) });
  let told = 0;
  const end = requests.subscribe(() => (told += 1));
  for (let number = 0; number < 100; number += 1) requests.take("request", item(number));
  assert.equal(waiting.length, 1);
  waiting.forEach((run) => run());
  assert.equal(told, 1);
  end();
  requests.take("request", item(1));
  waiting.at(-1)();
  assert.equal(told, 1);
});

test("memory is bounded, and requests that have not ended stay", () => {
  const requests = immediate();
  requests.take("request", item(0, { state: "queued" }));
  for (let number = 1; number <= 5000; number += 1) requests.take("request", item(number));
  assert.ok(requests.newest().length <= 120);
  assert.equal(requests.get("r0")?.state, "queued");
  assert.equal(requests.newest()[0].id, "r5000");
});

test("a long queue is bounded, too, and its newest requests are there", () => {
  const requests = immediate();
  for (let number = 1; number <= 3000; number += 1) requests.take("request", item(number, { state: "queued" }));
  assert.ok(requests.newest().length <= 1020);
  assert.equal(requests.newest()[0].id, "r3000");
  for (let number = 1; number <= 3000; number += 1) requests.take("request", item(number));
  assert.ok(requests.newest().length <= 120);
});

test("of deletions, the newest are remembered", () => {
  const requests = immediate();
  for (let number = 0; number < 1000; number += 1) requests.take("deleted", { id: `r${number}` });
  assert.deepEqual([requests.isDeleted("r899"), requests.isDeleted("r900")], [false, true]);
});

test("a cancelled request says who did it, as far as that is known", () => {
  const reason = (by, viewer) => cancelReason({ cancelled_by: by, user: "ann" }, viewer);
  assert.equal(reason("user", "ann"), "by you");
  assert.equal(reason("user", "bob"), "by its user");
  assert.equal(reason("operator", "ann"), "by an operator");
  assert.equal(reason("connection", "ann"), "because its client closed the connection");
  assert.equal(reason(null, "ann"), "");
  assert.equal(reason("something newer", "ann"), "");
});

test("a deleted request is gone until it is told again", () => {
  const requests = immediate();
  requests.take("request", item(1));
  requests.take("deleted", { id: "r1" });
  assert.ok(requests.isDeleted("r1") && !requests.get("r1"));
  requests.take("request", item(1));
  assert.ok(!requests.isDeleted("r1"));
});

test("previews are kept by image, and only until the end", () => {
  const requests = immediate();
  requests.take("request", item(1, { state: "running" }));
  requests.take("preview", { id: "r1", index: 1, step: 2, image: "a" });
  requests.take("preview", { id: "r1", index: 1, step: 3, image: "b" });
  assert.equal(requests.previews("r1")[1].image, "b");
  requests.take("request", item(1));
  requests.take("preview", { id: "r1", index: 0, step: 4, image: "late" });
  assert.deepEqual(requests.previews("r1"), []);
  requests.take("preview", { id: "unknown", index: 0, step: 4, image: "late" });
  assert.deepEqual(requests.previews("unknown"), []);
});

test("a sign-out leaves nothing", () => {
  const requests = immediate();
  requests.take("request", item(1));
  requests.take("app", { app: "a", paused_at: null, workers: 1 });
  requests.clear();
  assert.deepEqual([requests.newest(), requests.app("a")], [[], undefined]);
});
