// @ts-check
/** Numbers, times and sizes as people read them. Times of the API are ISO 8601 texts; null gives "–". */

const NUMBER = new Intl.NumberFormat("en");
const DATE_TIME = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const TIME = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });
const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const NONE = "–";

/** 1204 → "1,204". @param {number | null | undefined} value */
export const number = (value) => (value === null || value === undefined ? NONE : NUMBER.format(value));

/** plural(2, "image") → "2 images". @param {number} count @param {string} word @param {string} [words] */
export const plural = (count, word, words = `${word}s`) => `${number(count)} ${count === 1 ? word : words}`;

/** Seconds: 0.42 → "0.4 s", 95 → "1 min 35 s", 7260 → "2 h 1 min". @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return NONE;
  if (seconds < 9.95) return `${Math.round(10 * seconds) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return join(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 172_800) return join(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return join(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h");
}

/** @param {number} large @param {string} unit @param {number} small @param {string} smaller */
const join = (large, unit, small, smaller) => (small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`);

/** In words, without the smaller unit: "just now", "3 minutes ago". @param {string | null} time @param {number} [now] ms */
export function ago(time, now = Date.now()) {
  if (!time) return NONE;
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 10 ? "just now" : `${coarse(seconds)} ago`;
}

/** "6 days left"; "less than a minute left". @param {string | null} time @param {number} [now] ms */
export function left(time, now = Date.now()) {
  if (!time) return NONE;
  const seconds = (Date.parse(time) - now) / 1000;
  return seconds < 60 ? "less than a minute left" : `${coarse(seconds)} left`;
}

/** @param {number} seconds */
function coarse(seconds) {
  if (seconds < 60) return plural(Math.round(seconds), "second");
  if (seconds < 3600) return plural(Math.floor(seconds / 60), "minute");
  if (seconds < 172_800) return plural(Math.floor(seconds / 3600), "hour");
  return plural(Math.floor(seconds / 86_400), "day");
}

/** "Nov 30, 2026, 9:14 AM". @param {string | null} time */
export const dateTime = (time) => (time ? DATE_TIME.format(new Date(time)) : NONE);

/** "09:14:18". @param {string | null} time */
export const timeOfDay = (time) => (time ? TIME.format(new Date(time)) : NONE);

/** 11_534_336 → "11 MiB". @param {number | null | undefined} count */
export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  const power = count < 1024 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), UNITS.length - 1);
  const value = count / 1024 ** power;
  return `${power && value < 10 ? value.toFixed(1) : number(Math.round(value))} ${UNITS[power]}`;
}

/** The first letters of an id, for where the whole one is in a link or a title. @param {string} id */
export const shortId = (id) => id.slice(0, 8);
