import assert from "node:assert/strict";
import { test } from "node:test";

import { createApi, path } from "../../../src/pipelet/web/js/lib/api.js";

/** An api whose service gives this response, and the calls that it got. */
function apiWith(response, more = {}) {
  const calls = [];
  const fetch = async (url, options) => {
    calls.push({ url, ...options });
    if (response instanceof Error) throw response;
    return response.clone();
  };
  return { api: createApi({ base: "http://h/api/v1/", fetch, ...more }), calls };
}

const json = (body, init) => Response.json(body, init);

test("parameters without a value are not sent, and parts of a path are encoded", async () => {
  const { api, calls } = apiWith(json({ items: [] }));
  await api.get(path("requests", "a/b"), { query: { q: "x y", state: "", app: null, after: undefined, limit: 0 } });
  assert.equal(calls[0].url, "http://h/api/v1/requests/a%2Fb?q=x+y&limit=0");
});

test("calls that change something say that they come from the page", async () => {
  const { api, calls } = apiWith(new Response(null, { status: 204 }));
  assert.equal(await api.delete("session"), null);
  await api.post("requests", { app: "a" });
  for (const { headers } of calls) {
    assert.equal(headers["X-Pipelet"], "1");
    assert.equal(headers["Content-Type"], "application/json");
  }
  assert.equal(calls[1].body, '{"app":"a"}');
});

test("an error has the words of the service and what a form needs", async () => {
  const body = { message: "Too many.", error_type: "limit", detail: [{ loc: ["body", "width"], msg: "Too wide." }], count: 37 };
  const { api } = apiWith(json(body, { status: 429, headers: { "Retry-After": "7" } }));
  await assert.rejects(api.get("requests"), (error) => {
    assert.deepEqual(
      [error.status, error.message, error.type, error.detail, error.count, error.retryAfter, error.isTemporary],
      [429, "Too many.", "limit", body.detail, 37, 7, true],
    );
    return true;
  });
});

test("an error that is not the service's own has words, too", async () => {
  const { api } = apiWith(new Response("<html>Bad gateway</html>", { status: 502 }));
  await assert.rejects(api.get("requests"), { status: 502, message: "The service responded with status 502.", isTemporary: true });
});

test("without a connection the error says so", async () => {
  const { api } = apiWith(new TypeError("Failed to fetch"));
  await assert.rejects(api.get("requests"), { status: 0, message: "The service cannot be reached.", isTemporary: true });
});

test("a call that was given up is no error of the connection", async () => {
  const { api } = apiWith(new DOMException("", "AbortError"));
  await assert.rejects(api.get("requests"), { name: "AbortError" });
});

test("a call that the session does not open ends it", async () => {
  let ended = 0;
  const { api } = apiWith(json({ message: "Sign in." }, { status: 401 }), { onSignedOut: () => (ended += 1) });
  await assert.rejects(api.get("requests"), { status: 401, isTemporary: false });
  assert.equal(ended, 1);
});
