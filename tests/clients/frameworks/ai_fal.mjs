// What a user of Vercel's AI SDK does with its provider for fal. Prints what it saw as JSON, and waits for a line where
// the test has to make sure of something first.

import { createInterface } from "node:readline";
import { createFal } from "@ai-sdk/fal";
import { generateImage } from "ai";

globalThis.AI_SDK_LOG_WARNINGS = false; // it would write them between the lines that the test reads
const TURBO = "fal-ai/z-image/turbo";
const EDIT = `${TURBO}/image-to-image`;
const RED = Buffer.from(process.env.IMAGE, "base64");
const baseURL = `${process.env.SERVICE_URL}/fal/run`;
const fal = createFal({ baseURL, apiKey: process.env.FAL_KEY });
const limited = createFal({ baseURL, apiKey: process.env.LIMITED_KEY });
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const generate = (prompt, { id = TURBO, by = fal, ...options } = {}) =>
  generateImage({ model: by.image(id), prompt, maxRetries: 0, ...options });

async function images(...call) {
  const found = await generate(...call);
  const about = found.providerMetadata.fal;
  return {
    files: found.images.map((each) => [each.mediaType, each.uint8Array.length > 100]),
    sizes: about.images.map((each) => [each.width, each.height]),
    checked: about.images.map((each) => each.nsfw),
  };
}

/** Class, status and text of what a promise is rejected with. */
async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.name, error.statusCode ?? null, error.message];
  }
  return [];
}

const size = "96x64";
const edit = { text: "a hat", images: [RED] };
const options = { numInferenceSteps: 4, enableSafetyChecker: true, outputFormat: "jpeg" };
const stranger = createFal({ baseURL, apiKey: "pk_of_nobody" });
console.log(
  JSON.stringify({
    one: await images("an ai fox", { size, seed: 5, providerOptions: { fal: options } }),
    several: await images("an ai hen", { size, n: 2 }),
    ratio: await images("an ai owl", { aspectRatio: "16:9" }),
    edited: await images(edit, { id: EDIT }),
    inline: await images("an ai cat", { size, providerOptions: { fal: { syncMode: true } } }),
    input: await refusal(generate("x", { size: "1x1" })),
    mask: await refusal(generate({ ...edit, mask: RED }, { id: EDIT })),
    key: await refusal(generate("x", { size, by: stranger })),
    id: await refusal(generate("x", { size, id: "fal-ai/flux/dev" })),
    unable: await refusal(generate("refuse this", { size })),
    broken: await refusal(generate("please ai", { size })),
  }),
);
await lines.next(); // until the worker is busy
const leaving = new AbortController();
const waiting = refusal(generate("waits ai", { size, by: limited, abortSignal: leaving.signal }));
await lines.next(); // until that is queued
const refused = await refusal(generate("one more", { size, by: limited }));
leaving.abort();
console.log(JSON.stringify({ limited: refused, left: await waiting }));
