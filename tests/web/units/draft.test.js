/** What is typed, and the images that are added to it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createDraft } from "../../../src/pipelet/web/js/lib/draft.js";
import { moved } from "../../../src/pipelet/web/js/lib/uploads.js";

function storage() {
  const kept = new Map();
  return {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
    removeItem: (name) => kept.delete(name),
  };
}

test("what was typed survives a reload, until it is cleared", () => {
  const kept = storage();
  const draft = createDraft(kept);
  draft.choose("edit");
  draft.change({ prompt: "a cat" });
  assert.deepEqual(createDraft(kept).state.get(), { app: "edit", values: { prompt: "a cat" } });
  draft.clear();
  assert.deepEqual(createDraft(kept).state.get(), { app: null, values: {} });
});

test("what a browser cannot keep stays until a reload", () => {
  const full = {
    ...storage(),
    setItem() {
      throw new DOMException("full", "QuotaExceededError");
    },
  };
  const draft = createDraft(full);
  draft.change({ image_urls: ["data:…"] });
  assert.deepEqual(draft.state.get().values, { image_urls: ["data:…"] });
  assert.deepEqual(createDraft(full).state.get().values, {});
});

test("an entry of a list moves to any place", () => {
  assert.deepEqual(moved(["a", "b", "c"], 0, 2), ["b", "c", "a"]);
  assert.deepEqual(moved(["a", "b", "c"], 2, 0), ["c", "a", "b"]);
  assert.deepEqual(moved(["a", "b", "c"], 1, 1), ["a", "b", "c"]);
});
