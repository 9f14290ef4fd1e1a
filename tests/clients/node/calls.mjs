// What users of fal's JavaScript client do. Prints one JSON object of what they saw.
//   node calls.mjs requestMiddleware|proxyUrl        with SERVICE_URL and FAL_KEY in the environment
import { createFalClient } from "@fal-ai/client";

const APP = "queue/z-image-text-to-image";
const UNKNOWN = "rn5r12q9pdu6yvb3nxty";
const SMALL = { width: 64, height: 64 };
const service = process.env.SERVICE_URL;

const ways = {
  requestMiddleware: {
    requestMiddleware: async (request) => ({
      ...request,
      url: request.url
        .replace("https://queue.fal.run/", `${service}/fal/`)
        .replace("https://fal.run/", `${service}/fal/run/`),
    }),
  },
  proxyUrl: { proxyUrl: { url: `${service}/fal/proxy`, when: "always" } },
};
const way = ways[process.argv[2]];
const fal = createFalClient({ credentials: process.env.FAL_KEY, ...way });

/** What a promise is rejected with. */
async function refusal(promise) {
  try {
    return { resolved: await promise };
  } catch (error) {
    const { name, message, status, requestId, body, isUserTimeout, fieldErrors } = error;
    return { name, message, status, requestId, body, isUserTimeout, fieldErrors };
  }
}

async function ended(requestId, logs = false) {
  return fal.queue.subscribeToStatus(APP, { requestId, logs, pollInterval: 50 });
}

async function polled() {
  const statuses = [];
  const counts = [];
  let enqueued;
  const { data, requestId } = await fal.subscribe(APP, {
    input: { prompt: "a fox sleep=0.05", width: 96, height: 64, seed: 5, negative_prompt: undefined },
    logs: true,
    pollInterval: 50,
    onEnqueue: (id) => (enqueued = id),
    onQueueUpdate: (update) => {
      statuses.push(update.status);
      counts.push(update.logs.length);
    },
  });
  const status = await fal.queue.status(APP, { requestId });
  const again = await fal.queue.result(APP, { requestId });
  return { statuses, counts, enqueued, requestId, status, data, again };
}

async function streamed() {
  const statuses = [];
  const logs = [];
  const { data, requestId } = await fal.subscribe(APP, {
    mode: "streaming",
    input: { prompt: "a fox sleep=0.05", ...SMALL },
    logs: true,
    onQueueUpdate: (update) => {
      statuses.push(update.status);
      logs.push(update.logs.map((line) => line.message));
    },
  });
  const polled = await fal.queue.status(APP, { requestId, logs: true });
  return { statuses, logs, images: data.images.length, polled: polled.logs.map((line) => line.message) };
}

async function streamedByHand() {
  const { request_id: requestId } = await fal.queue.submit(APP, { input: { prompt: "refuse 狐 and 🦊", ...SMALL } });
  const stream = await fal.queue.streamStatus(APP, { requestId, logs: true });
  const events = [];
  for await (const event of stream) events.push(event);
  const last = await stream.done();
  const nobody = await fal.queue.streamStatus(APP, { requestId: UNKNOWN });
  return { requestId, events, last, id: stream.requestId, unknown: await refusal(nobody.done()) };
}

async function early() {
  const { request_id: requestId } = await fal.queue.submit(APP, { input: { prompt: "long sleep=0.05", ...SMALL } });
  const tooSoon = await refusal(fal.queue.result(APP, { requestId }));
  await ended(requestId);
  return { tooSoon, later: (await fal.queue.result(APP, { requestId })).data.images.length };
}

async function cancelled() {
  const long = await fal.queue.submit(APP, { input: { prompt: "long sleep=0.15", ...SMALL } });
  const waiting = await fal.queue.submit(APP, { input: { prompt: "waiting", ...SMALL } });
  const place = (await fal.queue.status(APP, { requestId: waiting.request_id })).queue_position;
  const first = await refusal(fal.queue.cancel(APP, { requestId: waiting.request_id }));
  const second = await refusal(fal.queue.cancel(APP, { requestId: waiting.request_id }));
  const status = await ended(waiting.request_id);
  const result = await refusal(fal.queue.result(APP, { requestId: waiting.request_id }));
  while ((await fal.queue.status(APP, { requestId: long.request_id })).status === "IN_QUEUE");
  const running = await refusal(fal.queue.cancel(APP, { requestId: long.request_id }));
  await ended(long.request_id);
  const finished = await refusal(fal.queue.cancel(APP, { requestId: long.request_id }));
  const unknown = await refusal(fal.queue.cancel(APP, { requestId: UNKNOWN }));
  return { place, first, second, status, result, running, finished, unknown };
}

async function refused() {
  const misspelt = await refusal(fal.queue.submit(APP, { input: { prompt: "x", heigth: 64, width: 1 } }));
  const empty = await refusal(fal.queue.submit(APP, {}));
  const stranger = createFalClient({ credentials: "pk_of_nobody", ...way });
  const key = await refusal(stranger.queue.submit(APP, { input: { prompt: "x" } }));
  const app = await refusal(fal.queue.submit("queue/no-such-app", { input: { prompt: "x" } }));
  const request = await refusal(fal.queue.result(APP, { requestId: UNKNOWN }));
  return { misspelt, empty, key, app, request };
}

async function failed(prompt) {
  const { request_id: requestId } = await fal.queue.submit(APP, { input: { prompt, ...SMALL } });
  const status = await ended(requestId, true);
  return { requestId, status, result: await refusal(fal.queue.result(APP, { requestId })) };
}

async function timedOut() {
  const long = await fal.queue.submit(APP, { input: { prompt: "long sleep=0.15", ...SMALL } });
  let requestId;
  const onEnqueue = (id) => (requestId = id);
  const input = { prompt: "waiting", ...SMALL };
  const error = await refusal(fal.subscribe(APP, { input, timeout: 100, pollInterval: 50, onEnqueue }));
  const status = await ended(requestId);
  await ended(long.request_id);
  return { error, status };
}

async function late() {
  const long = await fal.queue.submit(APP, { input: { prompt: "long sleep=0.2", ...SMALL } });
  const input = { prompt: "waiting", ...SMALL };
  const { request_id: requestId } = await fal.queue.submit(APP, { input, startTimeout: 1.1 });
  const status = await ended(requestId);
  const started = Date.now();
  const result = await refusal(fal.queue.result(APP, { requestId }));
  const waited = Date.now() - started;
  await ended(long.request_id);
  return { status, result, waited };
}

async function run() {
  const { data, requestId } = await fal.run(APP, { input: { prompt: "a hen", ...SMALL, batch_size: 2 } });
  const bad = await refusal(fal.run(APP, { input: { prompt: "" } }));
  return { images: data.images.length, requestId, bad };
}

console.log(
  JSON.stringify({
    polled: await polled(),
    streamed: await streamed(),
    streamedByHand: await streamedByHand(),
    early: await early(),
    cancelled: await cancelled(),
    refused: await refused(),
    unable: await failed("refuse 狐 and 🦊"),
    broken: await failed("please"),
    timedOut: await timedOut(),
    late: await late(),
    run: await run(),
  }),
);
