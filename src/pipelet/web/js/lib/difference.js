// @ts-check
/** What two requests have differently. */

/** @type {[string, string][]} */
const PARAMETERS = [
  ["prompt", "Prompt"],
  ["negative_prompt", "Avoid"],
  ["seed", "Seed"],
  ["width", "Width"],
  ["height", "Height"],
  ["num_inference_steps", "Steps"],
  ["guidance_scale", "Guidance"],
  ["strength", "Strength"],
  ["batch_size", "Images"],
  ["output_format", "Format"],
];

/**
 * @param {any} a @param {any} b items of the API
 * @returns {{label: string, a: string, b: string}[]} the parameters that differ
 */
export function differences(a, b) {
  const rows = PARAMETERS.map(([name, label]) => ({ label, a: text(a.input?.[name]), b: text(b.input?.[name]) }));
  return [{ label: "App", a: a.app, b: b.app }, ...rows].filter((row) => row.a !== row.b);
}

/** @param {any} value */
const text = (value) => (value === undefined || value === null || value === "" ? "–" : String(value));

/**
 * The words of two prompts, those that only one of them has marked, in their order.
 *
 * @param {string} a @param {string} b
 * @returns {[{text: string, isNew: boolean}[], {text: string, isNew: boolean}[]]}
 */
export function wordDifferences(a, b) {
  const [some, others] = [a, b].map((each) => each.split(/(\s+)/).filter(Boolean));
  const shared = commonWords(some, others);
  return [mark(some, shared), mark(others, shared)];
}

const MOST_WORDS = 400;

/** The longest common sequence. @param {string[]} some @param {string[]} others */
function commonWords(some, others) {
  if (some.length > MOST_WORDS || others.length > MOST_WORDS) return [];
  const lengths = Array.from({ length: some.length + 1 }, () => new Uint16Array(others.length + 1));
  for (let i = some.length - 1; i >= 0; i -= 1) {
    for (let k = others.length - 1; k >= 0; k -= 1) {
      lengths[i][k] = some[i] === others[k] ? lengths[i + 1][k + 1] + 1 : Math.max(lengths[i + 1][k], lengths[i][k + 1]);
    }
  }
  const found = [];
  for (let i = 0, k = 0; i < some.length && k < others.length; ) {
    if (some[i] === others[k]) (found.push(some[i]), (i += 1), (k += 1));
    else if (lengths[i + 1][k] >= lengths[i][k + 1]) i += 1;
    else k += 1;
  }
  return found;
}

/** @param {string[]} words @param {string[]} shared */
function mark(words, shared) {
  let next = 0;
  return words.map((text) => {
    const isShared = text === shared[next];
    if (isShared) next += 1;
    return { text, isNew: !isShared };
  });
}
