/** What two requests have differently. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { differences, wordDifferences } from "../../../src/pipelet/web/js/lib/difference.js";

const item = (input, app = "text") => ({ app, input: { prompt: "a cat", seed: 1, width: 64, ...input } });

test("only parameters that differ are named", () => {
  assert.deepEqual(differences(item({}), item({})), []);
  assert.deepEqual(differences(item({}), item({ seed: 2, strength: 0.5 }, "edit")), [
    { label: "App", a: "text", b: "edit" },
    { label: "Seed", a: "1", b: "2" },
    { label: "Strength", a: "–", b: "0.5" },
  ]);
});

test("an input that is not kept differs in everything", () => {
  assert.deepEqual(differences({ app: "text", input: null }, item({})).map(({ label }) => label), ["Prompt", "Seed", "Width"]);
});

test("words of one prompt alone are marked", () => {
  const marked = (words) => words.filter(({ isNew, text }) => isNew && text.trim()).map(({ text }) => text);
  const [a, b] = wordDifferences("a red apple on a table", "a green apple on the table");
  assert.deepEqual([marked(a), marked(b)], [["red", "a"], ["green", "the"]]);
  assert.equal(b.map(({ text }) => text).join(""), "a green apple on the table");
  const [same] = wordDifferences("a cat", "a cat");
  assert.deepEqual(marked(same), []);
});
