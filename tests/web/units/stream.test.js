import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";

import { createStream } from "../../../src/pipelet/web/js/lib/stream.js";

/** A stream on a service that the test plays, with timers that fire when the test says so. */
function streamOn(responses, more = {}) {
  const calls = [];
  const events = [];
  const timers = [];
  const fetch = async (url, { headers, signal }) => {
    calls.push({ url, headers, signal });
    const response = responses.shift();
    if (response instanceof Error) throw response;
    return response;
  };
  const stream = createStream({
    url: () => "/stream",
    onEvent: (name, data) => events.push([name, data]),
    fetch,
    visibility: null,
    setTimeout: (run, ms) => (timers.push({ run, ms }), timers.at(-1)),
    clearTimeout: (timer) => timers.includes(timer) && timers.splice(timers.indexOf(timer), 1),
    ...more,
  });
  const statuses = [];
  stream.state.subscribe(({ status }) => statuses.push(status));
  return { stream, calls, events, timers, statuses };
}

const told = (text) => new Response(text, { headers: { "Content-Type": "text/event-stream" } });
const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
};

test("a lost stream continues where it ended", async () => {
  const { stream, calls, events, timers, statuses } = streamOn([
    told('id: 5\nevent: request\ndata: {"id": "a"}\n\n'),
    told('id: 6\nevent: request\ndata: {"id": "b"}\n\n'),
  ]);
  stream.open();
  await settled();
  assert.deepEqual(events, [["request", { id: "a" }]]);
  assert.deepEqual(statuses, ["connecting", "open", "lost"]);

  timers.shift().run();
  await settled();
  assert.deepEqual(calls.map(({ headers }) => headers["Last-Event-ID"]), [undefined, "5"]);
  assert.deepEqual(events.at(-1), ["request", { id: "b" }]);
  stream.close();
});

test("it waits longer each time, and as long as the service asks", async () => {
  const gone = () => new TypeError("Failed to fetch");
  const busy = Response.json({ message: "Too many streams." }, { status: 429, headers: { "Retry-After": "60" } });
  const { stream, timers } = streamOn([gone(), gone(), gone(), gone(), gone(), busy]);
  const waited = [];
  stream.open();
  for (let turn = 0; turn < 6; turn += 1) {
    await settled();
    const [timer] = timers.splice(0);
    waited.push(timer.ms);
    timer.run();
  }
  assert.deepEqual(waited, [1000, 2000, 4000, 8000, 15000, 60000]);
  stream.close();
});

test("a refusal is told apart from a lost connection", async () => {
  const refused = [];
  const response = Response.json({ message: "This key was revoked." }, { status: 401 });
  const { stream } = streamOn([response], { onRefused: (error) => refused.push([error.status, error.message]) });
  stream.open();
  await settled();
  assert.deepEqual(refused, [[401, "This key was revoked."]]);
  stream.close();
});

test("a hidden tab has no stream", async () => {
  const visibility = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const turn = (state) => {
    visibility.visibilityState = state;
    visibility.dispatchEvent(new Event("visibilitychange"));
  };
  const silent = () => new Response(new ReadableStream());
  const { stream, calls, statuses } = streamOn([silent(), silent()], { visibility });
  stream.open();
  await settled();
  turn("hidden");
  assert.ok(calls[0].signal.aborted);
  turn("visible");
  await settled();
  assert.equal(calls.length, 2);
  assert.deepEqual(statuses, ["connecting", "open", "closed", "connecting", "open"]);
  stream.close();
  assert.ok(calls[1].signal.aborted);
});

test("a connection without a byte counts as lost", async () => {
  let read;
  const silent = new Response(new ReadableStream({ start: (controller) => (read = controller) }));
  const { stream, calls, timers, statuses } = streamOn([silent]);
  stream.open();
  await settled();
  const [silence] = timers;
  calls[0].signal.addEventListener("abort", () => read.error(new DOMException("", "AbortError")));
  silence.run();
  await settled();
  assert.equal(statuses.at(-1), "lost");
  stream.close();
});
