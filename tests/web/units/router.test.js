import assert from "node:assert/strict";
import { test } from "node:test";

import { href, matchRoute, parseHash } from "../../../src/pipelet/web/js/lib/router.js";

const ROUTES = [{ path: "/" }, { path: "/requests/:id" }, { path: "/compare/:a/:b" }, { path: "/operate/*" }];
const found = (hash) => {
  const match = matchRoute(ROUTES, hash);
  return match && [match.route.path, match.params, match.query];
};

test("the first route that fits gets the parts of the address by name", () => {
  assert.deepEqual(found(""), ["/", {}, {}]);
  assert.deepEqual(found("#/requests/abc?view=log"), ["/requests/:id", { id: "abc" }, { view: "log" }]);
  assert.deepEqual(found("#/compare/a/b"), ["/compare/:a/:b", { a: "a", b: "b" }, {}]);
  assert.deepEqual(found("#/operate/keys/k1"), ["/operate/*", { rest: "keys/k1" }, {}]);
  assert.deepEqual(found("#/operate"), ["/operate/*", { rest: "" }, {}]);
});

test("an address that no route fits has none", () => {
  for (const hash of ["#/nowhere", "#/requests", "#/requests/a/b"]) assert.equal(matchRoute(ROUTES, hash), null);
});

test("what href makes is read as it was", () => {
  const parts = ["requests", "a/b ?#%é"];
  const query = { q: "50% & more", empty: "", none: null };
  assert.deepEqual(parseHash(href(...parts, query)), { parts, query: { q: "50% & more" } });
});

test("an address that a person has broken does not break the page", () => {
  assert.deepEqual(parseHash("#/requests/%E0%A4%A").parts, ["requests", "%E0%A4%A"]);
});
