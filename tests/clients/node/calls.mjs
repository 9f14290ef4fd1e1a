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
        .replace("https://fal.run/", `${service}/fal/run/`)
        .replace("https://rest.fal.ai/", `${service}/fal/rest/`),
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

async function byId() {
  const TURBO = "fal-ai/z-image/turbo";
  const statuses = [];
  const input = { prompt: "a fox", image_size: "square", num_images: 2, enable_safety_checker: true };
  const onQueueUpdate = (update) => statuses.push(update.status);
  const { data } = await fal.subscribe(TURBO, { input, pollInterval: 50, onQueueUpdate });
  const small = { prompt: "a hen", image_size: SMALL };
  const streamed = await fal.subscribe(TURBO, { input: small, mode: "streaming" });
  const inline = await fal.run(TURBO, { input: { ...small, sync_mode: true } });
  const bad = await refusal(fal.queue.submit(TURBO, { input: { prompt: "x", image_size: "huge" } }));
  const stranger = createFalClient({ credentials: "pk_of_nobody", ...way });
  const key = await refusal(stranger.queue.submit(TURBO, { input: small }));
  const app = await refusal(fal.queue.submit("fal-ai/flux/dev", { input: small }));
  const limited = createFalClient({ credentials: process.env.LIMITED_KEY, ...way });
  const long = await fal.queue.submit(TURBO, { input: { ...small, prompt: "long sleep=0.05" } });
  const { request_id: requestId } = await fal.queue.submit(TURBO, { input: small });
  await fal.queue.cancel(TURBO, { requestId });
  await limited.queue.submit(TURBO, { input: small });
  const waited = await limited.run(TURBO, { input: small });
  const cancelled = await refusal(fal.queue.result(TURBO, { requestId }));
  await fal.queue.subscribeToStatus(TURBO, { requestId: long.request_id, pollInterval: 50 });
  const url = inline.data.images[0].url;
  const images = [streamed.data.images.length, waited.data.images.length];
  return { data, statuses, images, inline: url, bad, key, app, cancelled };
}

async function uploads() {
  const EDIT = "fal-ai/z-image/turbo/image-to-image";
  const blob = new Blob([Buffer.from(process.env.IMAGE, "base64")], { type: "image/png" });
  const inInput = await fal.subscribe(EDIT, { input: { prompt: "a", image_url: blob }, pollInterval: 50 });
  const image_url = await fal.storage.upload(blob, { lifecycle: { expiresIn: "1h" } });
  const byUrl = await fal.subscribe(EDIT, { input: { prompt: "a", image_url }, pollInterval: 50 });
  const large = await refusal(fal.storage.upload(new Blob([new Uint8Array(91 * 1024 * 1024)])));
  const svg = await refusal(fal.storage.upload(new Blob(["<svg/>"], { type: "image/svg+xml" })));
  return { images: [inInput.data.images[0], byUrl.data.images[0]], large, svg };
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
    byId: await byId(),
    uploads: await uploads(),
  }),
);
