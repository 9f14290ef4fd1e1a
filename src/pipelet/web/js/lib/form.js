// @ts-check
/**
 * The form of an app, from the JSON schema of its input. The values of a form are texts, as they were typed, and a list
 * of URLs; `toInput` makes the input of a submit out of them.
 */

/**
 * @typedef {"prompt" | "text" | "integer" | "number" | "choice" | "images"} Kind
 * @typedef {{
 *   name: string, label: string, hint: string, kind: Kind, isAdvanced: boolean, isRequired: boolean,
 *   minimum: number | null, isAboveMinimum: boolean, maximum: number | null, maxLength: number | null,
 *   choices: string[], mostItems: number, reserved: RegExp | null, fallback: string,
 * }} FormField  `isAboveMinimum`: the minimum itself is too small; `fallback`: the default, as a text
 * @typedef {Record<string, any>} Values
 */

/** Words on screen, and hints where the schema's description is for programs. @type {Record<string, {label: string, hint?: string}>} */
const WORDS = {
  prompt: { label: "Prompt", hint: "" },
  image_urls: { label: "Input images", hint: "" },
  width: { label: "Width", hint: "" },
  height: { label: "Height", hint: "" },
  batch_size: { label: "Images", hint: "" },
  seed: { label: "Seed", hint: "The same seed gives the same image. Empty: random." },
  num_inference_steps: { label: "Steps" },
  guidance_scale: { label: "Guidance" },
  negative_prompt: { label: "Avoid", hint: "What should not be in the image." },
  output_format: { label: "Format", hint: "" },
  strength: { label: "Strength" },
  priority: { label: "Priority", hint: "Larger starts sooner; below 0 waits behind all others." },
};

/** @param {any} schema of `GET /api/v1/apps` @returns {FormField[]} in the order of the form */
export function fieldsOf(schema) {
  return Object.entries(schema.properties)
    .sort(([, a], [, b]) => a.order - b.order)
    .map(([name, property]) => fieldOf(name, property, schema.required ?? []));
}

/** @param {string} name @param {any} property @param {string[]} required @returns {FormField} */
function fieldOf(name, property, required) {
  const shape = { ...property, ...(property.anyOf ?? []).find((/** @type {any} */ each) => each.type !== "null") };
  return {
    name,
    label: WORDS[name]?.label ?? property.title ?? name,
    hint: WORDS[name]?.hint ?? property.description ?? "",
    kind: kindOf(name, shape),
    isAdvanced: property.advanced ?? true,
    isRequired: required.includes(name) || shape.type === "array",
    minimum: shape.minimum ?? shape.exclusiveMinimum ?? null,
    isAboveMinimum: shape.exclusiveMinimum !== undefined,
    maximum: shape.maximum ?? null,
    maxLength: shape.maxLength ?? null,
    choices: shape.enum ?? [],
    mostItems: shape.maxItems ?? 1,
    reserved: shape.not?.pattern ? new RegExp(shape.not.pattern) : null,
    fallback: property.default === undefined ? "" : String(property.default),
  };
}

/** @param {string} name @param {any} shape @returns {Kind} */
function kindOf(name, shape) {
  if (shape.type === "array") return "images";
  if (shape.enum) return "choice";
  if (shape.type === "integer" || shape.type === "number") return shape.type;
  return name === "prompt" ? "prompt" : "text";
}

/** What an empty form shows, or that of an input. @param {FormField[]} fields @param {Record<string, any>} [input] @returns {Values} */
export function valuesOf(fields, input = {}) {
  return Object.fromEntries(
    fields.map(({ name, kind, fallback }) => {
      if (kind === "images") return [name, input[name] ?? []];
      const value = input[name] ?? null;
      return [name, value === null ? fallback : String(value)];
    }),
  );
}

/**
 * The input of a submit, without what equals the defaults, and the errors by field. With errors, the input is not whole.
 *
 * @param {FormField[]} fields @param {Values} values
 * @returns {{input: Record<string, any>, errors: Record<string, string>}}
 */
export function toInput(fields, values) {
  /** @type {Record<string, any>} */
  const input = {};
  /** @type {Record<string, string>} */
  const errors = {};
  for (const field of fields) {
    const value = values[field.name] ?? "";
    const isEmpty = field.kind === "images" ? value.length === 0 : value.trim() === "";
    const error = isEmpty ? (field.isRequired ? missing(field) : null) : check(field, value);
    if (error) errors[field.name] = error;
    else if (!isEmpty && value !== field.fallback) input[field.name] = isNumber(field) ? Number(value) : value;
  }
  return { input, errors };
}

/** @param {FormField} field */
const isNumber = (field) => field.kind === "integer" || field.kind === "number";

/** @param {FormField} field */
const missing = (field) => (field.kind === "images" ? "Add an image." : "Describe the image.");

/** @param {FormField} field @param {any} value @returns {string | null} */
function check(field, value) {
  if (isNumber(field)) return checkNumber(field, value.trim());
  if (field.kind === "images") return value.length > field.mostItems ? `At most ${field.mostItems}.` : null;
  if (field.maxLength !== null && [...value].length > field.maxLength) return `At most ${field.maxLength} characters.`;
  const found = field.reserved?.exec(value);
  return found ? `The model reserves the text ${found[0]}.` : null;
}

/** @param {FormField} field @param {string} value */
function checkNumber({ kind, minimum, isAboveMinimum, maximum }, value) {
  const found = Number(value);
  if (!Number.isFinite(found)) return "Give a number.";
  if (kind === "integer" && !Number.isInteger(found)) return "Give a whole number.";
  if (minimum !== null && (isAboveMinimum ? found <= minimum : found < minimum)) {
    return isAboveMinimum ? `More than ${minimum}.` : `At least ${minimum}.`;
  }
  return maximum !== null && found > maximum ? `At most ${maximum}.` : null;
}

/**
 * The errors of a refused submit: by field, and what belongs to none.
 *
 * @param {import("./api.js").ApiError} error @param {FormField[]} fields
 * @returns {{errors: Record<string, string>, other: string | null}}
 */
export function faultsOf(error, fields) {
  if (!Array.isArray(error.detail)) return { errors: {}, other: error.message };
  const names = new Set(fields.map(({ name }) => name));
  /** @type {Record<string, string>} */
  const errors = {};
  /** @type {string[]} */
  const others = [];
  for (const { loc, msg } of error.detail) {
    // ["body", "input", "width"]; one of a list has its index behind the name.
    const name = (loc ?? []).find((/** @type {any} */ part) => names.has(part));
    if (name) errors[name] ??= msg;
    else others.push(msg);
  }
  return { errors, other: others.length ? others.join(" ") : null };
}

/** An input without what an app takes for it anyway. @param {any} input @param {FormField[]} fields */
export function withoutDefaults(input, fields) {
  const defaults = Object.fromEntries(fields.map(({ name, fallback }) => [name, fallback]));
  return Object.fromEntries(Object.entries(input).filter(([name, value]) => String(value) !== defaults[name]));
}

/** A seed as the service would choose one. */
export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

/**
 * The input of an earlier request, to be submitted or changed: its images by the URLs of now.
 *
 * @param {any} detail of GET /requests/{id}
 * @param {any} [app] of GET /apps: fields are left out that its model, which may be another one now, does not have
 */
export function inputOf(detail, app) {
  const input = { ...detail.input };
  if (detail.priority) input.priority = detail.priority;
  if (detail.input_images?.length) input.image_urls = detail.input_images;
  const known = app?.input_schema.properties ?? input;
  return Object.fromEntries(Object.entries(input).filter(([name]) => name in known));
}
