// @ts-check
/** Keys and limits: forms to the API's values and back. */

/** @type {[string, string][]} */
export const SCOPES = [
  ["generate", "submit, read, cancel and delete the user's own requests"],
  ["observe", "read queue, workers, failures and usage, and the requests of all users without their content"],
  ["operate", "pause, drain, replay; move, retry, cancel and delete the requests of all users"],
  ["keys", "create, limit, rotate and revoke keys: this can give every other scope"],
  ["content", "see prompts, logs and images of all users"],
];

/** @typedef {{name: string, label: string, hint?: string, unit?: number, min?: number, isWhole?: boolean, isRequired?: boolean}} LimitField */

const GIB = 1024 ** 3;

/** Limits of a key. @type {LimitField[]} */
export const KEY_LIMITS = [
  { name: "max_priority", label: "Largest priority", min: -(2 ** 31) },
  { name: "max_queued_images", label: "Queued images", min: 1 },
  { name: "max_running_images", label: "Running images", min: 1 },
];

/** Limits of a user. @type {LimitField[]} */
export const USER_LIMITS = [
  ...KEY_LIMITS,
  { name: "max_submits_per_second", label: "Submits per second", min: 0, isWhole: false },
  { name: "submit_burst", label: "Submits at once", hint: "after a pause", min: 1, isRequired: true },
  { name: "max_stored_bytes", label: "Stored files, GiB", unit: GIB, min: 0, isWhole: false },
  { name: "max_webhooks_per_minute", label: "Webhooks per minute", min: 1 },
];

/** Values as texts of a form: no limit is empty. @param {LimitField[]} fields @param {Record<string, any>} values */
export const toForm = (fields, values) =>
  Object.fromEntries(
    fields.map(({ name, unit = 1 }) => {
      const value = values[name];
      return [name, value === null || value === undefined ? "" : String(Math.round((value / unit) * 1000) / 1000)];
    }),
  );

/**
 * What a form changes, as the API takes it, and what is wrong with it by field.
 *
 * @param {LimitField[]} fields @param {Record<string, string>} form @param {Record<string, any>} before
 */
export function readLimits(fields, form, before) {
  /** @type {Record<string, number | null>} */
  const changes = {};
  /** @type {Record<string, string>} */
  const errors = {};
  const shown = toForm(fields, before);
  for (const { name, unit = 1, min = 0, isWhole = true, isRequired = false } of fields) {
    const text = form[name].trim();
    if (text === shown[name]) continue;
    const value = text === "" ? null : Number(text);
    if (value === null && isRequired) errors[name] = "Give a number.";
    else if (value !== null && (Number.isNaN(value) || value < min || (isWhole && !Number.isInteger(value)))) {
      errors[name] = isWhole ? `Give a whole number of at least ${min}, or nothing for no limit.` : "Give a number, or nothing for no limit.";
    } else changes[name] = value === null ? null : Math.round(value * unit * 1000) / 1000;
    if (unit > 1 && changes[name]) changes[name] = Math.round(/** @type {number} */ (changes[name]));
  }
  return { changes, errors };
}

/** "4 queued, 2 running images, priority up to 0"; "none". @param {Record<string, any>} key */
export function limitsInWords(key) {
  const words = [
    key.max_queued_images !== null && `${key.max_queued_images} queued`,
    key.max_running_images !== null && `${key.max_running_images} running`,
    key.max_priority !== null && `priority ≤ ${key.max_priority}`,
  ].filter(Boolean);
  return words.join(", ") || "none";
}

/** The last 30 days, oldest first, as the API names them. @param {number} now ms */
export const lastDays = (now, days = 30) =>
  Array.from({ length: days }, (_, k) => new Date(now - 86_400_000 * (days - 1 - k)).toISOString().slice(0, 10));

/** Images of a key by day. @param {{key_id: string, day: string, images: number}[]} items @param {string} keyId @param {string[]} days */
export function imagesByDay(items, keyId, days) {
  const found = new Map(items.filter((item) => item.key_id === keyId).map((item) => [item.day, item.images]));
  return days.map((day) => found.get(day) ?? 0);
}

/**
 * Entries of the trail, with those that follow each other as one if they are alike: a list that is read with its content
 * leaves one for each request.
 *
 * @param {any[]} entries
 * @returns {(any & {targets: string[]})[]}
 */
export function joinReads(entries) {
  /** @type {any[]} */
  const rows = [];
  for (const entry of entries) {
    const last = rows.at(-1);
    const isSame = last && entry.action === "requests.read_content" && ["action", "user", "key", "address"].every((name) => last[name] === entry[name]);
    if (isSame) last.targets.push(entry.target);
    else rows.push({ ...entry, targets: [entry.target] });
  }
  return rows;
}

/** What changed in an entry of the audit trail: "max_priority: 5 → none". @param {{before: any, after: any}} entry */
export function changesInWords({ before, after }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names.map((name) => {
    const [old, fresh] = [before?.[name], after?.[name]].map((value) => (value === null ? "none" : valueInWords(name, value)));
    if (old === undefined) return `${name}: ${fresh}`;
    return `${name}: ${old} → ${fresh ?? "none"}`;
  });
}

/** Values of the trail are numbers and ids; times among them are seconds. @param {string} name @param {any} value */
function valueInWords(name, value) {
  if (value === undefined) return undefined;
  if (typeof value === "number" && /_(at|until)$/.test(name)) return new Date(1000 * value).toISOString().slice(0, 16).replace("T", " ");
  return String(value);
}
