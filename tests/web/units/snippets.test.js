/** Calls to copy. That they run as they are is tested with a service, in tests/web/test_snippets.py. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { SNIPPETS, curl, javascript, openai, python } from "../../../src/pipelet/web/js/lib/snippets.js";

const INPUT = { prompt: `it's "quoted" $HOME \\n 🦊\nsecond line`, width: 512, guidance_scale: 1.5, image_urls: ["https://a/b?c=d&e=f"] };
const call = (base) => ({ base, app: "z-image-text-to-image", input: INPUT });

test("no call has a key in it", () => {
  for (const { write } of SNIPPETS) assert.match(write(call("http://127.0.0.1:8000")), /PIPELET_API_KEY/);
});

test("a shell passes the input on as it is", () => {
  const script = curl(call("http://127.0.0.1:8000")).replace(/^curl/, "node -e 'console.log(process.argv.at(-1))' --");
  const sent = execFileSync("sh", ["-c", script], { encoding: "utf-8", env: { ...process.env, PIPELET_API_KEY: "k" } });
  assert.deepEqual(JSON.parse(sent), INPUT);
});

test("Python uses fal's client where there is TLS, which it needs", () => {
  const text = python(call("https://pipelet.example.com/prefix"));
  assert.match(text, /fal_client\.subscribe\("queue\/z-image-text-to-image"/);
  assert.match(text, /"pipelet\.example\.com\/prefix\/fal\/run"/);
  assert.doesNotMatch(python(call("http://127.0.0.1:8000")), /fal_client/);
});

test("OpenAI's client gets the size, and what it does not know as extra fields", () => {
  const input = { prompt: "a fox", width: 96, height: 64, batch_size: 2, seed: 5 };
  const text = openai({ ...call("http://127.0.0.1:8000"), input });
  assert.match(text, /base_url="http:\/\/127\.0\.0\.1:8000\/v1"/);
  assert.match(text, /images\.generate\(\n {4}model="z-image-text-to-image",\n {4}prompt="a fox",\n {4}size="96x64",\n {4}n=2,/);
  assert.match(text, /extra_body=\{\n\s+"seed": 5\n\s+\},/);
  assert.match(openai(call("http://127.0.0.1:8000")), /images\.edit\(\n {4}image=images,/);
});

test("JavaScript sends every call to the service", () => {
  assert.match(javascript(call("http://127.0.0.1:8000")), /url: "http:\/\/127\.0\.0\.1:8000\/fal\/proxy"/);
});
