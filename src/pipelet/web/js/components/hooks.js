// @ts-check
/** Hooks: what a component shows of things that change. */

import { useCallback, useEffect, useRef, useState } from "../../vendor/preact.js";

const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 15_000;

/** @param {any[] | null} some @param {any[]} others */
const areEqual = (some, others) => some !== null && others.every((value, k) => Object.is(value, some[k]));

/** The value of a store (lib/store.js). @template T @param {import("../lib/store.js").Store<T>} store @returns {T} */
export function useStore(store) {
  const [value, setValue] = useState(store.get);
  useEffect(() => {
    setValue(store.get);
    return store.subscribe(setValue);
  }, [store]);
  return value;
}

/**
 * What `load` returns, again whenever `deps` change:
 *
 *     const { data, error, isLoading, reload } = useLoad((signal) => api.get("apps", { signal }), []);
 *
 * `data` of the same `deps` stays while it is read again. A temporary failure is retried by itself.
 *
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {any[]} deps
 * @returns {{data: T | undefined, error: any, isLoading: boolean, reload: () => void}}
 */
export function useLoad(load, deps) {
  const [result, setResult] = useState(/** @type {any} */ ({ deps: null, data: undefined, error: null }));
  const [tries, setTries] = useState(0);
  const failures = useRef(0);
  const isSame = areEqual(result.deps, deps);
  useEffect(() => {
    const abort = new AbortController();
    /** @type {any} */
    let timer;
    load(abort.signal).then(
      (data) => {
        failures.current = 0;
        if (!abort.signal.aborted) setResult({ deps, data, error: null, tries });
      },
      (error) => {
        if (abort.signal.aborted) return;
        setResult((/** @type {any} */ old) => ({ deps, data: areEqual(old.deps, deps) ? old.data : undefined, error, tries }));
        if (!error.isTemporary) return;
        failures.current += 1;
        const wait = Math.min(FIRST_RETRY_MS * 2 ** (failures.current - 1), LONGEST_RETRY_MS);
        timer = setTimeout(() => setTries((count) => count + 1), Math.max(wait, 1000 * (error.retryAfter ?? 0)));
      },
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [...deps, tries]);
  const reload = useCallback(() => setTries((count) => count + 1), []);
  const shown = isSame ? result : { data: undefined, error: null };
  return { data: shown.data, error: shown.error, isLoading: !isSame || result.tries !== tries, reload };
}

/** The time in milliseconds, renewed every so often, for "3 minutes ago". @param {number} [every] ms */
export function useNow(every = 30_000) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** Call `reload` every so often while the page is visible, and when `cause` changes. @param {() => void} reload @param {number} every ms @param {any} [cause] */
export function useReload(reload, every, cause) {
  const last = useRef(cause);
  useEffect(() => {
    if (last.current !== cause) reload();
    last.current = cause;
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), every);
    return () => clearInterval(timer);
  }, [reload, every, cause]);
}

/** A value that follows another after a pause: for calls while a person types. @template T @param {T} value @param {number} ms */
export function useSettled(value, ms) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(() => value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** The title of the tab. @param {string} title */
export function useTitle(title) {
  useEffect(() => {
    document.title = `${title} · Pipelet`;
  }, [title]);
}
