// @ts-check
/**
 * The call of a request, to copy. Each runs as it is where PIPELET_API_KEY holds a key; the page has none to put into them.
 */

/** @typedef {{base: string, app: string, input: Record<string, any>}} Call  `base`: URL of the service, without a slash at the end */

/** @type {{name: string, language: string, write: (call: Call) => string}[]} */
export const SNIPPETS = [
  { name: "curl", language: "shell", write: curl },
  { name: "Python", language: "python", write: python },
  { name: "JavaScript", language: "js", write: javascript },
  { name: "OpenAI", language: "python", write: openai },
];

/** @param {Call} call */
export function curl({ base, app, input }) {
  const body = JSON.stringify(input, null, 2).replaceAll("'", "'\\''");
  return `curl ${base}/fal/run/${app} \\
  -H "Authorization: Key $PIPELET_API_KEY" -H "Content-Type: application/json" \\
  -d '${body}'
`;
}

/** fal's Python client speaks TLS alone. Over plain HTTP the standard library does the same. @param {Call} call */
export function python(call) {
  const { protocol, host, pathname } = new URL(call.base);
  const root = `${host}${pathname.replace(/\/$/, "")}`;
  return protocol === "https:" ? withFalClient(call, root) : withUrllib(call);
}

/** @param {Call} call @param {string} root host and prefix */
function withFalClient({ app, input }, root) {
  return `import os

os.environ["FAL_KEY"] = os.environ["PIPELET_API_KEY"]
os.environ["FAL_QUEUE_RUN_HOST"] = "${root}/fal"
os.environ["FAL_RUN_HOST"] = "${root}/fal/run"

import fal_client  # pip install fal-client; it reads the variables at its import

result = fal_client.subscribe("queue/${app}", arguments=${pythonLiteral(input)})
for image in result["images"]:
    print(image["url"])
`;
}

/** @param {Call} call */
function withUrllib({ base, app, input }) {
  return `import json
import os
import urllib.request

request = urllib.request.Request(
    "${base}/fal/run/${app}",
    data=json.dumps(${pythonLiteral(input, "    ")}).encode(),
    headers={"Authorization": "Key " + os.environ["PIPELET_API_KEY"], "Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as response:
    for image in json.load(response)["images"]:
        print(image["url"])
`;
}

/** @param {Call} call */
export function javascript({ base, app, input }) {
  const body = JSON.stringify(input, null, 2).replaceAll("\n", "\n  ");
  return `import { createFalClient } from "@fal-ai/client"; // npm install @fal-ai/client

const fal = createFalClient({
  credentials: process.env.PIPELET_API_KEY,
  proxyUrl: { url: "${base}/fal/proxy", when: "always" },
});
const { data } = await fal.subscribe("queue/${app}", {
  input: ${body},
});
for (const image of data.images) console.log(image.url);
`;
}

/** OpenAI's Python client, which needs no TLS. @param {Call} call */
export function openai({ base, app, input }) {
  const { prompt, width, height, batch_size: n, image_urls: urls, ...rest } = input;
  const size = width && height ? [`size="${width}x${height}"`] : [];
  const fields = [`model="${app}"`, `prompt=${pythonLiteral(prompt)}`, ...size, `n=${n ?? 1}`, 'response_format="url"'];
  if (Object.keys(rest).length) fields.push(`extra_body=${pythonLiteral(rest, "    ")}`);
  const images = urls ? `images = [urllib.request.urlopen(url).read() for url in ${pythonLiteral(urls)}]\n` : "";
  return `import os
${urls ? "import urllib.request\n" : ""}
from openai import OpenAI  # pip install openai

client = OpenAI(base_url="${base}/v1", api_key=os.environ["PIPELET_API_KEY"])
${images}result = client.images.${urls ? "edit" : "generate"}(
${[...(urls ? ["image=images"] : []), ...fields].map((field) => `    ${field},\n`).join("")})
for image in result.data:
    print(image.url)
`;
}

/** JSON whose texts, numbers and lists Python reads, too. @param {any} value @param {string} [indent] */
function pythonLiteral(value, indent = "") {
  return JSON.stringify(value, null, 4).replaceAll("\n", `\n${indent}`);
}
