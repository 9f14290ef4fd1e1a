/** The form of an app: fields from its schema, input from what is typed, faults of the service at their fields. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../../src/pipelet/web/js/lib/api.js";
import { faultsOf, fieldsOf, inputOf, toInput, valuesOf, withoutDefaults } from "../../../src/pipelet/web/js/lib/form.js";
import { presets } from "../../../src/pipelet/web/js/lib/sizes.js";

const nullable = (shape, more) => ({ anyOf: [shape, { type: "null" }], ...more });
const SCHEMA = {
  required: ["prompt"],
  properties: {
    seed: nullable({ type: "integer", minimum: 0, maximum: 9007199254740991 }, { title: "Seed", order: 4, advanced: true }),
    prompt: { type: "string", maxLength: 20, not: { pattern: "<\\|end\\|>" }, title: "Prompt", order: 0, advanced: false },
    width: nullable({ type: "integer", minimum: 64, maximum: 4096 }, { default: 1024, order: 1, advanced: false }),
    image_urls: nullable({ type: "array", maxItems: 2 }, { order: 2, advanced: false }),
    strength: nullable({ type: "number", exclusiveMinimum: 0, maximum: 1 }, { default: 0.3, order: 5, advanced: true }),
    output_format: nullable({ type: "string", enum: ["png", "webp"] }, { default: "png", order: 6, advanced: true }),
    odd: nullable({ type: "string" }, { title: "Odd One", description: "Something new.", order: 7, advanced: true }),
  },
};
const FIELDS = fieldsOf(SCHEMA);
const values = (more) => ({ ...valuesOf(FIELDS), prompt: "a cat", image_urls: ["data:,"], ...more });

test("fields follow the schema, with words for people", () => {
  assert.deepEqual(
    FIELDS.map(({ name, label, kind }) => [name, label, kind]),
    [
      ["prompt", "Prompt", "prompt"],
      ["width", "Width", "integer"],
      ["image_urls", "Input images", "images"],
      ["seed", "Seed", "integer"],
      ["strength", "Strength", "number"],
      ["output_format", "Format", "choice"],
      ["odd", "Odd One", "text"],
    ],
  );
  assert.equal(FIELDS.at(-1).hint, "Something new.");
  assert.deepEqual(FIELDS.filter(({ isAdvanced }) => !isAdvanced).map(({ name }) => name), ["prompt", "width", "image_urls"]);
});

test("an input has what differs from the defaults, as numbers where those are meant", () => {
  assert.deepEqual(toInput(FIELDS, values({ seed: "7", width: " 512 ", strength: "0.50" })), {
    input: { prompt: "a cat", image_urls: ["data:,"], seed: 7, width: 512, strength: 0.5 },
    errors: {},
  });
  assert.deepEqual(toInput(FIELDS, values()).input, { prompt: "a cat", image_urls: ["data:,"] });
});

test("what cannot be sent is named at its field", () => {
  const wrong = values({ prompt: "x<|end|>", image_urls: [], seed: "1.5", width: "63", strength: "0" });
  assert.deepEqual(Object.keys(toInput(FIELDS, wrong).errors), ["prompt", "width", "image_urls", "seed", "strength"]);
  for (const [name, bad, message] of [
    ["prompt", "  ", "Describe the image."],
    ["prompt", "a".repeat(21), "At most 20 characters."],
    ["width", "4097", "At most 4096."],
    ["width", "wide", "Give a number."],
    ["seed", "-1", "At least 0."],
    ["strength", "0", "More than 0."],
    ["image_urls", ["a", "b", "c"], "At most 2."],
  ]) {
    assert.equal(toInput(FIELDS, values({ [name]: bad })).errors[name], message);
  }
  assert.equal(toInput(FIELDS, values({ prompt: "🦊".repeat(20) })).errors.prompt, undefined);
});

test("faults of the service stand at their fields, others apart", () => {
  const detail = [
    { loc: ["body", "input", "width"], msg: "too wide" },
    { loc: ["body", "input", "image_urls", 0], msg: "no image" },
    { loc: ["body", "input", "colour"], msg: "unknown" },
  ];
  assert.deepEqual(faultsOf(new ApiError(422, "all", { detail }), FIELDS), {
    errors: { width: "too wide", image_urls: "no image" },
    other: "unknown",
  });
  assert.deepEqual(faultsOf(new ApiError(429, "Too many images wait."), FIELDS), { errors: {}, other: "Too many images wait." });
});

test("an earlier request fills the form again, with its seed, priority and images", () => {
  const detail = { input: { prompt: "a cat", seed: 7, width: 1024 }, priority: -3, input_images: ["/files/a"] };
  assert.deepEqual(inputOf(detail), { prompt: "a cat", seed: 7, width: 1024, priority: -3, image_urls: ["/files/a"] });
  assert.deepEqual(inputOf({ input: { prompt: "a" }, priority: 0, input_images: [] }), { prompt: "a" });
  const other = { input_schema: { properties: { prompt: {}, priority: {} } } };
  assert.deepEqual(inputOf(detail, other), { prompt: "a cat", priority: -3 }, "the app has another model now");
  assert.deepEqual(withoutDefaults({ prompt: "a", width: 1024, seed: 7 }, FIELDS), { prompt: "a", seed: 7 });
});

test("presets have the area of the default, and fit the limits", () => {
  const found = presets({ default_side: 1024, min_side: 64, max_side: 4096 });
  assert.deepEqual(found.map(({ label }) => label), ["1:1", "4:3", "3:4", "16:9", "9:16"]);
  for (const { width, height } of found) {
    assert.equal(width % 32, 0);
    assert.equal(height % 32, 0);
    assert.ok(Math.abs(width * height - 1024 ** 2) < 0.06 * 1024 ** 2);
  }
  assert.ok(presets({ default_side: 256, min_side: 200, max_side: 300 }).every(({ width, height }) => Math.max(width, height) <= 300 && Math.min(width, height) >= 200));
});
