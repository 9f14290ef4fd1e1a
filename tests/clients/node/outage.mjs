// One call of fal's JavaScript client, during which the service goes away.
import { createFalClient } from "@fal-ai/client";

const fal = createFalClient({
  credentials: process.env.FAL_KEY,
  requestMiddleware: async (request) => ({
    ...request,
    url: request.url.replace("https://queue.fal.run/", `${process.env.SERVICE_URL}/fal/`),
  }),
});
const { data } = await fal.subscribe("queue/z-image-text-to-image", {
  input: { prompt: "a fox sleep=0.1", width: 64, height: 64 },
  onEnqueue: (requestId) => console.log(requestId),
});
console.log(data.images.length);
