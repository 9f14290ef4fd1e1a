// Submit with the headers that are given as JSON, and print the request's id and how many pictures it has.
import { createFalClient } from "@fal-ai/client";

const APP = "queue/z-image-text-to-image";
const fal = createFalClient({
  credentials: process.env.FAL_KEY,
  requestMiddleware: async (request) => ({
    ...request,
    url: request.url.replace("https://queue.fal.run/", `${process.env.SERVICE_URL}/fal/`),
  }),
});
const input = { prompt: "a fox", width: 64, height: 64 };
const { request_id: requestId } = await fal.queue.submit(APP, { input, headers: JSON.parse(process.argv[2]) });
await fal.queue.subscribeToStatus(APP, { requestId, pollInterval: 50 });
const { data } = await fal.queue.result(APP, { requestId });
console.log(JSON.stringify([requestId, data.images.length]));
