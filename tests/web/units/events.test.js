import assert from "node:assert/strict";
import { test } from "node:test";

import { eventParser } from "../../../src/pipelet/web/js/lib/events.js";

/** What a stream that comes in these chunks tells. */
function parsed(...chunks) {
  const found = [];
  const parse = eventParser((event) => found.push(event));
  chunks.forEach(parse);
  return found;
}

const STREAM = ": hello\n\nid: 7\nevent: request\ndata: {\"id\":\ndata: 1}\n\ndata: plain\r\n\r\n";
const EVENTS = [
  { event: "request", data: '{"id":\n1}', id: "7" },
  { event: "message", data: "plain", id: "7" },
];

test("an event has its name, its lines of data, and the last id", () => {
  assert.deepEqual(parsed(STREAM), EVENTS);
});

test("chunks may end anywhere", () => {
  assert.deepEqual(parsed(...STREAM), EVENTS);
  for (let cut = 1; cut < STREAM.length; cut += 1) {
    assert.deepEqual(parsed(STREAM.slice(0, cut), STREAM.slice(cut)), EVENTS, `cut at ${cut}`);
  }
});

test("an event that is not complete is not told", () => {
  assert.deepEqual(parsed("event: request\ndata: 1\n"), []);
  assert.deepEqual(parsed("event: request\n\n"), []);
});
