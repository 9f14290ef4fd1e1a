// @ts-check
/**
 * Hooks for requests that change: what the stream tells.
 *
 * - `useRequests()`: the newest, as in the list of the API
 * - `useRequest(id)`: one of them; undefined until the stream tells it
 * - `useRequestDetail(id)`: one with its images and log, read again at its end
 * - `useAppState(app)`: whether an app is paused, and whether workers serve it
 * - `usePreviews(id)`: the newest preview of each of its images, while it runs
 */

import { api, requests, watchPreviews } from "../context.js";
import { path } from "../lib/api.js";
import { hasEnded } from "../lib/requests.js";
import { useEffect, useState } from "../../vendor/preact.js";
import { useLoad } from "./hooks.js";

export function useRequests() {
  const [, setCount] = useState(0);
  useEffect(() => requests.subscribe(() => setCount((count) => count + 1)), []);
  return requests.newest();
}

/** @param {string} id */
export function useRequest(id) {
  const [item, setItem] = useState(() => requests.get(id));
  useEffect(() => {
    setItem(requests.get(id));
    return requests.subscribe(() => setItem(requests.get(id)));
  }, [id]);
  return item?.id === id ? item : requests.get(id);
}

/** @param {{name: string, paused: boolean, served: boolean}} app as it was read */
export function useAppState({ name, paused, served }) {
  useRequests();
  const told = requests.app(name);
  return told ? { isPaused: told.paused_at !== null, isServed: told.workers > 0 } : { isPaused: paused, isServed: served };
}

/**
 * @param {string} id
 * @returns {{item: any, detail: any, error: any, isDeleted: boolean, reload: () => void}} `item`: as new as the stream;
 *   `detail`: as it was read
 */
export function useRequestDetail(id) {
  const item = useRequest(id);
  const isEnded = item ? hasEnded(item) : null;
  const read = async (/** @type {AbortSignal} */ signal) => {
    const detail = await api.get(path("requests", id), { signal });
    // The stream is ahead of a response that was under way.
    if (!requests.get(id)) requests.put(detail);
    return detail;
  };
  const { data, error, reload } = useLoad(read, [id, isEnded === true]);
  const isDeleted = requests.isDeleted(id) || error?.status === 404;
  const isUnfinished = data && isEnded === true && !hasEnded(data);
  return { item: item ?? data, detail: isUnfinished ? undefined : data, error, isDeleted, reload };
}

/** @param {any} item @returns {{index: number, step: number, image: string}[]} */
export function usePreviews(item) {
  const isRunning = Boolean(item && !hasEnded(item));
  const id = item?.id;
  useRequest(id);
  useEffect(() => (isRunning ? watchPreviews(id) : undefined), [id, isRunning]);
  return isRunning ? requests.previews(id) : [];
}
