// @ts-check
/**
 * A value that can be observed. `useStore` of components/hooks.js shows it in a component.
 *
 * @template T
 * @typedef {{
 *   get(): T,
 *   set(value: T): void,
 *   update(change: Partial<T>): void,
 *   subscribe(listener: (value: T) => void): () => void,
 * }} Store  `update` merges into a value that is an object; `subscribe` returns what ends the subscription.
 */

/**
 * @template T
 * @param {T} value
 * @returns {Store<T>}
 */
export function createStore(value) {
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set();
  const set = (/** @type {T} */ next) => {
    if (Object.is(next, value)) return;
    value = next;
    for (const listener of [...listeners]) listener(value);
  };
  return {
    get: () => value,
    set,
    update: (change) => set({ ...value, ...change }),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
