// @ts-check
/**
 * The keyboard in a list: its items, elements with `data-key`, are one stop of Tab; arrows move between them.
 *
 *     const { onKeyDown, onFocusIn } = useListKeys(list, { onToggle, onExtend, onSelectAll, onClear, onDelete, onSearch });
 *
 * An element with `data-main` in each item is where the arrows lead; from a checkbox they lead to the next checkbox.
 */

import { step } from "../../lib/history/selection.js";
import { useEffect, useRef } from "../../../vendor/preact.js";

const CONTROLS = "a, button, input";

/**
 * @param {{current: HTMLElement | null}} list
 * @param {{onToggle: (id: string) => void, onExtend: (from: string, to: string) => void, onSelectAll: () => void,
 *   onClear: () => void, onDelete: (id: string) => void, onSearch: () => void}} acts
 */
export function useListKeys(list, acts) {
  const active = useRef(/** @type {string | null} */ (null));
  const itemsOf = () => /** @type {HTMLElement[]} */ ([...(list.current?.querySelectorAll("[data-key]") ?? [])]);

  const mark = () => {
    const items = itemsOf();
    const stop = items.find((item) => item.dataset.key === active.current) ?? items[0];
    for (const item of items) {
      for (const control of /** @type {NodeListOf<HTMLElement>} */ (item.querySelectorAll(CONTROLS))) control.tabIndex = item === stop ? 0 : -1;
    }
  };
  useEffect(mark);

  /** @param {string} id */
  const activate = (id) => {
    active.current = id;
    mark();
  };

  /** @param {any} event */
  const onFocusIn = ({ target }) => {
    const id = target.closest("[data-key]")?.dataset.key;
    if (id && id !== active.current) activate(id);
  };

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const item = /** @type {HTMLElement | null} */ (target.closest("[data-key]"));
    if (!item || event.altKey) return;
    if (act(event, target, item)) event.preventDefault();
  };

  /** Whether the key means something here. @param {KeyboardEvent} event @param {HTMLElement} target @param {HTMLElement} item */
  const act = ({ key, ctrlKey, metaKey, shiftKey }, target, item) => {
    const id = item.dataset.key ?? "";
    if (ctrlKey || metaKey) return key === "a" && (acts.onSelectAll(), true);
    if (key === " " && target.matches("a")) return acts.onToggle(id), true;
    if (key === "Escape") return acts.onClear(), true;
    if (key === "Delete") return acts.onDelete(id), true;
    if (key === "/") return acts.onSearch(), true;
    const items = itemsOf();
    const to = step(key, items.indexOf(item), items.length, columnsOf(items));
    if (to === null) return false;
    const control = target.matches("input") ? "input" : "[data-main]";
    /** @type {HTMLElement | null} */ (items[to].querySelector(control))?.focus();
    if (shiftKey) acts.onExtend(id, items[to].dataset.key ?? "");
    return true;
  };

  return { onKeyDown, onFocusIn, activate };
}

/** @param {HTMLElement[]} items */
function columnsOf(items) {
  const { top } = items[0].getBoundingClientRect();
  const below = items.findIndex((item) => item.getBoundingClientRect().top > top + 1);
  return below < 0 ? items.length : below;
}
