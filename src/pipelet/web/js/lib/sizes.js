// @ts-check
/** Sizes that a form offers: the usual aspect ratios, at the area of the app's default. */

const RATIOS = [
  { label: "1:1", words: "Square", x: 1, y: 1 },
  { label: "4:3", words: "Landscape", x: 4, y: 3 },
  { label: "3:4", words: "Portrait", x: 3, y: 4 },
  { label: "16:9", words: "Wide", x: 16, y: 9 },
  { label: "9:16", words: "Tall", x: 9, y: 16 },
];
/** Every model takes multiples of this without cropping. */
const STEP = 32;

/** @typedef {{label: string, words: string, width: number, height: number}} Preset */

/** @param {{default_side: number, min_side: number, max_side: number}} limits of an app @returns {Preset[]} */
export function presets({ default_side: side, min_side: least, max_side: most }) {
  const fit = (/** @type {number} */ value) => Math.min(Math.max(STEP * Math.round(value / STEP), least), most);
  return RATIOS.map(({ label, words, x, y }) => ({
    label,
    words,
    width: fit(side * Math.sqrt(x / y)),
    height: fit(side * Math.sqrt(y / x)),
  }));
}
