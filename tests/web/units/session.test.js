import assert from "node:assert/strict";
import { test } from "node:test";

import { can, createSession } from "../../../src/pipelet/web/js/lib/session.js";
import { ApiError } from "../../../src/pipelet/web/js/lib/api.js";

const INFO = { user: "ada", key: { scopes: ["generate"] }, version: "1.0" };

function storage(note = null) {
  const kept = new Map(note ? [["pipelet.signed-in", note]] : []);
  return {
    kept,
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  };
}

/** A session whose service does what `does` says: a value to respond with, or an error. */
function sessionWith(does, { note = null, ...more } = {}) {
  const respond = (name) => async () => {
    const value = typeof does[name] === "function" ? does[name]() : does[name];
    if (value instanceof Error) throw value;
    return value;
  };
  const api = { get: respond("get"), post: respond("post"), delete: respond("delete") };
  const kept = storage(note);
  return { session: createSession(api, { storage: kept, ...more }), kept: kept.kept };
}

test("a browser that was never signed in is not asked about", async () => {
  const { session } = sessionWith({ get: () => assert.fail("it was asked") });
  await session.load();
  assert.equal(session.state.get().status, "out");
});

test("a login is known, and no secret is kept", async () => {
  const { session, kept } = sessionWith({ post: null, get: INFO });
  await session.signIn({ key: "pk_secret" });
  assert.deepEqual([session.state.get().status, session.state.get().info], ["in", INFO]);
  assert.deepEqual([...kept], [["pipelet.signed-in", "1"]]);
  assert.ok(can(INFO, "generate") && !can(INFO, "operate") && !can(null, "generate"));
});

test("a refused login has the reason", async () => {
  const { session } = sessionWith({ post: new ApiError(401, "This key is not known here.") });
  await session.signIn({ key: "pk_wrong" });
  assert.equal(session.state.get().status, "out");
  assert.equal(session.state.get().error?.message, "This key is not known here.");
});

test("a service that does not respond keeps who is signed in", async () => {
  const service = { get: INFO };
  const { session } = sessionWith(service, { note: "1" });
  await session.load();
  service.get = new ApiError(0, "The service cannot be reached.");
  await session.load();
  assert.equal(session.state.get().status, "in");
});

test("a service that does not respond at the start is waited for", async () => {
  const { session } = sessionWith({ get: new ApiError(503, "Starting.") }, { note: "1" });
  await session.load();
  assert.deepEqual([session.state.get().status, session.state.get().error?.message], ["unreachable", "Starting."]);
});

test("another version of the service is noticed, once it was known", async () => {
  const service = { get: INFO };
  const seen = [];
  const { session } = sessionWith(service, { note: "1", onUpgrade: (version) => seen.push(version) });
  await session.load();
  await session.load();
  assert.deepEqual(seen, []);
  service.get = { ...INFO, version: "1.1" };
  await session.load();
  assert.deepEqual(seen, ["1.1"]);
});

test("a sign-out holds without a connection, and in the other tabs", async () => {
  const { session, kept } = sessionWith({ get: INFO, delete: new ApiError(0, "") }, { note: "1" });
  await session.load();
  await session.signOut();
  assert.deepEqual([session.state.get().status, [...kept.values()]], ["out", ["out"]]);

  const other = sessionWith({ get: INFO }, { note: "1" }).session;
  await other.load();
  other.follow({ key: "pipelet.signed-in", newValue: "out" });
  assert.deepEqual([other.state.get().status, other.state.get().notice], ["out", "You have signed out in another tab."]);
});

test("a tab whose calls are refused before it hears of the sign-out in another tab says why", async () => {
  let left = 0;
  const { session, kept } = sessionWith({ get: INFO }, { note: "1", onSignOut: () => left++ });
  await session.load();
  kept.set("pipelet.signed-in", "out");
  session.ended();
  session.follow({ key: "pipelet.signed-in", newValue: "out" });
  assert.deepEqual([session.state.get().notice, left], ["You have signed out in another tab.", 1]);
});

test("a session that ends in one tab signs no other one out", async () => {
  const { session } = sessionWith({ get: INFO }, { note: "1", onSignOut: () => assert.fail("what was typed is lost") });
  await session.load();
  session.follow({ key: "pipelet.signed-in", newValue: null });
  assert.equal(session.state.get().status, "in");
  session.ended();
  assert.match(session.state.get().notice, /^Your session has ended/);
});
