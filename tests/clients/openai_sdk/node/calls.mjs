// What a user of OpenAI's JavaScript client does. Prints a JSON object of what it saw, then how a stream ended.

import OpenAI, { toFile } from "openai";

const SMALL = { model: "z-image-text-to-image", size: "96x64" };
const RED = Buffer.from(process.env.IMAGE, "base64");
const client = new OpenAI({ maxRetries: 0 });
const bytesOf = (text) => Buffer.from(text, "base64").length;
const file = () => toFile(RED, "a.png", { type: "image/png" });

/** Class, status, code, field and text of what a promise is rejected with. */
async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.constructor.name, error.status ?? null, error.code ?? null, error.param ?? null, error.message];
  }
  return [];
}

async function generated() {
  const one = await client.images.generate({ prompt: "a fox", ...SMALL, seed: 5, num_inference_steps: 4 });
  const several = await client.images.generate({ prompt: "a hen", n: 3, ...SMALL, response_format: "b64_json" });
  const linked = await client.images.generate({ prompt: "an owl", model: "dall-e-3", size: "96x64", quality: "hd" });
  return {
    one: [one.size, one.output_format, one.usage.total_tokens, one.data[0].seed, one.data[0].url],
    bytes: bytesOf(one.data[0].b64_json),
    request_id: one._request_id,
    several: several.data.map((each) => each.b64_json.length > 100),
    linked: [linked.data[0].b64_json ?? null, linked.data[0].url],
  };
}

async function edited() {
  const several = await client.images.edit({ image: [await file(), await file()], prompt: "a hat", seed: 3, n: 2 });
  const one = await client.images.edit({ image: await file(), prompt: "a hat", size: "128x64" });
  const mask = await refusal(client.images.edit({ image: await file(), mask: await file(), prompt: "a hat" }));
  return { several: [several.size, several.data.map((each) => each.seed)], one: one.size, mask };
}

async function streamed() {
  const prompt = "a fox sleep=0.15";
  const events = await client.images.generate({ prompt, stream: true, partial_images: 3, n: 2, ...SMALL });
  const seen = [];
  for await (const each of events)
    seen.push([each.type, each.partial_image_index ?? null, each.size, bytesOf(each.b64_json) > 20]);
  return seen;
}

async function streamedEdit() {
  const seen = [];
  const events = await client.images.edit({ image: await file(), prompt: "a hat", stream: true });
  for await (const each of events) seen.push(each.type);
  return seen;
}

async function read(promise) {
  for await (const _ of await promise);
}

async function refused() {
  const stranger = new OpenAI({ apiKey: "pk_of_nobody", maxRetries: 0 });
  return {
    input: await refusal(client.images.generate({ prompt: "x", n: 99, ...SMALL })),
    key: await refusal(stranger.images.generate({ prompt: "x" })),
    model: await refusal(client.images.generate({ prompt: "x", model: "no-such-model" })),
    unable: await refusal(client.images.generate({ prompt: "refuse this", ...SMALL })),
    broken: await refusal(client.images.generate({ prompt: "please 2", ...SMALL }, { maxRetries: 2 })),
    stream: await refusal(read(client.images.generate({ prompt: "refuse it", stream: true, ...SMALL }))),
  };
}

async function limited() {
  const call = async (maxRetries) => {
    const one = new OpenAI({ apiKey: process.env.LIMITED_KEY, maxRetries });
    try {
      return (await one.images.generate({ prompt: "a cat sleep=0.1", ...SMALL })).data.length;
    } catch (error) {
      return [error.status, error.code, error.type];
    }
  };
  const busy = client.images.generate({ prompt: "busy sleep=0.1", ...SMALL });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const first = call(0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const found = [await call(0), await call(5), await first];
  await busy;
  return found;
}

async function hungUp() {
  const [name] = await refusal(
    client.images.generate({ prompt: "long javascript sleep=0.2", ...SMALL }, { timeout: 400 }),
  );
  return name;
}

async function models() {
  const listed = [];
  for await (const each of client.models.list()) listed.push(each.id);
  const one = (await client.models.retrieve("gpt-image-1")).id;
  return { listed, one, unknown: await refusal(client.models.retrieve("no-such-model")) };
}

console.log(
  JSON.stringify({
    generated: await generated(),
    edited: await edited(),
    streamed: await streamed(),
    streamed_edit: await streamedEdit(),
    refused: await refused(),
    limited: await limited(),
    hung_up: await hungUp(),
    models: await models(),
  }),
);
await new Promise((resolve) => process.stdin.once("data", resolve)); // until the other client has come as far
process.stdin.unref();
const stream = await client.images.generate({ prompt: "long sleep=0.3", stream: true, ...SMALL });
console.log(JSON.stringify("streaming"));
console.log(JSON.stringify(await refusal(read(Promise.resolve(stream)))));
