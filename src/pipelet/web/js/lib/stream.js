// @ts-check
/**
 * One stream of server-sent events that stays open: it continues after a lost connection where it ended, and is closed
 * while the tab is hidden. Pages listen to the one of context.js; the operator's overview has another (createStream).
 *
 *     const stream = createStream({ url: () => api.url("operate/stream"), onEvent(name, data) {…} });
 *     stream.state.subscribe(({ status }) => …);   // "closed", "connecting", "open" or "lost"
 *     stream.open(); stream.close();
 *
 * `fetch` reads it rather than EventSource, which does not tell a refusal from a lost connection.
 */

import { readError } from "./api.js";
import { eventParser } from "./events.js";
import { createStore } from "./store.js";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;
/** Milliseconds without a byte after which a connection counts as lost: the service sends a comment every 15 s. */
const SILENCE = 40_000;

/** @typedef {{status: "closed" | "connecting" | "open" | "lost", error: import("./api.js").ApiError | null}} StreamState */

/**
 * @param {{
 *   url: () => string,
 *   onEvent: (name: string, data: any) => void,
 *   onOpen?: () => void,
 *   onRefused?: (error: import("./api.js").ApiError) => void,
 *   fetch?: typeof globalThis.fetch,
 *   visibility?: Document | null,
 *   setTimeout?: (run: () => void, ms: number) => any,
 *   clearTimeout?: (timer: any) => void,
 * }} options  `onOpen` runs after each start, also the first; `onRefused` where the service responds with an error
 */
export function createStream(options) {
  const {
    url,
    onEvent,
    onOpen = () => {},
    onRefused = () => {},
    fetch = (...args) => globalThis.fetch(...args),
    visibility = globalThis.document ?? null,
    setTimeout = (run, ms) => globalThis.setTimeout(run, ms),
    clearTimeout = (timer) => globalThis.clearTimeout(timer),
  } = options;
  const state = createStore(/** @type {StreamState} */ ({ status: "closed", error: null }));
  let isWanted = false;
  let wait = FIRST_WAIT;
  /** @type {string | null} */
  let lastId = null;
  /** @type {AbortController | null} */
  let connection = null;
  /** @type {any} */
  let timer = null;

  const isHidden = () => visibility?.visibilityState === "hidden";

  function disconnect() {
    clearTimeout(timer);
    timer = null;
    const old = connection;
    connection = null;
    old?.abort();
  }

  function connect() {
    disconnect();
    if (!isWanted || isHidden()) {
      state.set({ status: "closed", error: null });
      return;
    }
    const mine = (connection = new AbortController());
    if (state.get().status !== "lost") state.set({ status: "connecting", error: null });
    read(mine).catch((error) => {
      if (connection !== mine) return;
      disconnect();
      state.set({ status: "lost", error });
      timer = setTimeout(connect, Math.max(wait, 1000 * (error?.retryAfter ?? 0)));
      wait = Math.min(2 * wait, LONGEST_WAIT);
    });
  }

  /** Read until the end, which is always a loss. @param {AbortController} mine */
  async function read(mine) {
    const headers = { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) };
    const response = await fetch(url(), { headers, signal: mine.signal, credentials: "same-origin", cache: "no-store" });
    if (!response.ok || !response.body) {
      const error = await readError(response);
      if (connection === mine) onRefused(error);
      throw error;
    }
    if (connection !== mine) return;
    wait = FIRST_WAIT;
    state.set({ status: "open", error: null });
    onOpen();
    const parse = eventParser(({ event, data, id }) => {
      if (id !== null) lastId = id;
      onEvent(event, JSON.parse(data));
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const silence = setTimeout(() => connection === mine && mine.abort(), SILENCE);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (connection !== mine) return;
      if (done) throw new Error("The stream has ended.");
      parse(value);
    }
  }

  const onVisibility = () => (isHidden() ? connect() : isWanted && !connection && connect());

  return {
    state,
    /** Open it, unless it is open. */
    open() {
      if (isWanted) return;
      isWanted = true;
      visibility?.addEventListener("visibilitychange", onVisibility);
      connect();
    },
    /** Close it for good; a later `open` begins from the start. */
    close() {
      isWanted = false;
      lastId = null;
      visibility?.removeEventListener("visibilitychange", onVisibility);
      connect();
    },
    /** Connect again now: because the URL has changed, or because a person does not want to wait. */
    reconnect() {
      if (isWanted) connect();
    },
  };
}

/** @typedef {ReturnType<typeof createStream>} Stream */
