// @ts-check
/**
 * What is typed into the form, kept for as long as the tab lives: over other pages, a reload, and an expired session.
 * Only what a person has changed is in it, so that each app shows its own defaults.
 */

import { createStore } from "./store.js";

const NOTE = "pipelet.draft";

/** @typedef {{app: string | null, values: Record<string, any>}} Draft */

/** @type {Draft} */
const EMPTY = { app: null, values: {} };

/** @param {Storage} [storage] */
export function createDraft(storage = globalThis.sessionStorage) {
  const state = createStore(read());

  /** @returns {Draft} */
  function read() {
    try {
      const found = JSON.parse(storage.getItem(NOTE) ?? "");
      return { app: found.app ?? null, values: { ...found.values } };
    } catch {
      return EMPTY;
    }
  }

  /** @param {Draft} draft */
  function keep(draft) {
    state.set(draft);
    try {
      storage.setItem(NOTE, JSON.stringify(draft));
    } catch {
      storage.removeItem(NOTE); // images inside may be larger than what a browser keeps
    }
  }

  return {
    state,
    /** @param {string} app */
    choose: (app) => keep({ ...state.get(), app }),
    /** @param {Record<string, any>} values those that a person has changed */
    change: (values) => keep({ ...state.get(), values: { ...state.get().values, ...values } }),
    /** Fill the form with other values. @param {string} app @param {Record<string, any>} values */
    fill: (app, values) => keep({ app, values }),
    clear() {
      storage.removeItem(NOTE);
      state.set(EMPTY);
    },
  };
}
