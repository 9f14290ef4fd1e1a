// Submit a request, wait until it has ended, and fetch its images, with the built-in fetch only.
//   PIPELET_API_KEY=$(cat .pipelet/local-key) node examples/javascript.mjs "a red apple on a light blue background"
import { writeFile } from "node:fs/promises";

const url = process.env.PIPELET_API_URL ?? "http://127.0.0.1:8000";
const headers = { Authorization: `Bearer ${process.env.PIPELET_API_KEY}`, "Content-Type": "application/json" };

async function call(address, options = {}) {
  const response = await fetch(address, { headers, ...options });
  const body = await response.json();
  if (!response.ok) throw new Error(body.message);
  return body;
}

const submitted = await call(`${url}/fal/queue/z-image-text-to-image`, {
  method: "POST",
  body: JSON.stringify({ prompt: process.argv[2] ?? "a red apple on a light blue background", width: 512, height: 320 }),
});

let status;
do {
  await new Promise((resolve) => setTimeout(resolve, 500));
  status = await call(submitted.status_url);
  console.error(`${status.status}: ${status.statusMessages.message}`);
} while (status.status !== "COMPLETED");

for (const image of (await call(submitted.response_url)).images) {
  const file = await fetch(image.url); // signed: it needs no key
  await writeFile(image.file_name, Buffer.from(await file.arrayBuffer()));
  console.log(image.file_name);
}
