// @ts-check
/** Which items of a list are selected, by mouse and keyboard alike. Selections are values: each act returns another. */

/**
 * @typedef {{ids: ReadonlySet<string>, anchor: string | null}} Selection  `anchor`: where a range begins
 */

/** @type {Selection} */
export const NONE = { ids: new Set(), anchor: null };

/** Add an item, or take it out; the next range begins there. @param {Selection} selection @param {string} id @returns {Selection} */
export function toggle({ ids }, id) {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return { ids: next, anchor: id };
}

/**
 * Add all from the anchor to an item, both included; without an anchor, the item alone.
 *
 * @param {Selection} selection @param {string} id @param {string[]} order ids as they are shown @returns {Selection}
 */
export function extend({ ids, anchor }, id, order) {
  const from = anchor === null ? -1 : order.indexOf(anchor);
  const to = order.indexOf(id);
  if (from < 0 || to < 0) return { ids: new Set(ids).add(id), anchor: id };
  const range = order.slice(Math.min(from, to), Math.max(from, to) + 1);
  return { ids: new Set([...ids, ...range]), anchor };
}

/** All of a list. @param {string[]} order @returns {Selection} */
export const everything = (order) => ({ ids: new Set(order), anchor: order[0] ?? null });

/** Without what is not shown any more: an action is on what is shown. @param {Selection} selection @param {string[]} order @returns {Selection} */
export function within(selection, order) {
  const shown = new Set(order);
  if ([...selection.ids].every((id) => shown.has(id))) return selection;
  const { anchor } = selection;
  return { ids: new Set([...selection.ids].filter((id) => shown.has(id))), anchor: anchor && shown.has(anchor) ? anchor : null };
}

/**
 * Where an arrow key leads in a list of `count` items in `columns`; null if the key leads nowhere.
 *
 * @param {string} key of a KeyboardEvent @param {number} at @param {number} count @param {number} columns
 */
export function step(key, at, count, columns) {
  /** @type {Record<string, number>} */
  const moves = { ArrowDown: columns, ArrowUp: -columns, Home: -at, End: count - 1 - at };
  if (columns > 1) Object.assign(moves, { ArrowRight: 1, ArrowLeft: -1 });
  if (!(key in moves)) return null;
  const to = at + moves[key];
  // Down from the row before a shorter last one leads to its end.
  if (key === "ArrowDown" && to >= count && Math.floor(at / columns) < Math.floor((count - 1) / columns)) return count - 1;
  return to < 0 || to >= count ? at : to;
}
