// What a user of Vercel's AI SDK does, with its provider for OpenAI and that for compatible services.

import { generateImage } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

globalThis.AI_SDK_LOG_WARNINGS = false; // it would write them between the lines that the test reads
const settings = { baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY };
const MODEL = "z-image-text-to-image";
const RED = Buffer.from(process.env.IMAGE, "base64");
const providers = { openai: createOpenAI(settings), compatible: createOpenAICompatible({ name: "pipelet", ...settings }) };

async function images(provider, options, model = MODEL) {
  const found = await generateImage({ model: provider.imageModel(model), size: "96x64", maxRetries: 0, ...options });
  return found.images.map((each) => [each.mediaType, each.uint8Array.length > 100]);
}

/** Status and text of what a promise is rejected with. */
async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.statusCode ?? null, error.message];
  }
  return [];
}

const seen = {};
for (const [name, provider] of Object.entries(providers)) {
  const prompt = `an ai fox ${name}`;
  const providerOptions = { pipelet: { seed: 5, num_inference_steps: 4 } };
  seen[name] = {
    generated: await images(provider, { prompt, n: 2, providerOptions }),
    edited: await images(provider, { prompt: { text: "a hat", images: [RED] } }),
    model: await refusal(images(provider, { prompt }, "no-such-model")),
    input: await refusal(images(provider, { prompt, size: "1x1" })),
  };
}
console.log(JSON.stringify(seen));
