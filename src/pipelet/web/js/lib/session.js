// @ts-check
/**
 * Who is signed in. The page never holds a key after the login: a cookie that scripts cannot read opens `/api/v1`.
 *
 *     session.state.get().info.key.scopes         // what GET /api/v1/session returns, where status is "in"
 *     can(session.state.get().info, "operate")
 *
 * Whether there is a cookie is noted in localStorage, without any secret: the other tabs of the browser follow.
 */

import { createStore } from "./store.js";

const NOTE = "pipelet.signed-in";
const SIGNED_IN = "1";
/** Distinguishes a sign-out from a session that has ended, of which there is no note. */
const SIGNED_OUT = "out";

/**
 * @typedef {import("./api.js").Api} Api
 * @typedef {{user: string, key: {id: string, name: string, scopes: string[], expires_at: string | null},
 *   limits: any, used: any, user_limits: any, used_by_user: any, version: string}} SessionInfo
 * @typedef {{
 *   status: "loading" | "in" | "out" | "unreachable",
 *   info: SessionInfo | null,
 *   notice: string | null,
 *   error: Error | null,
 * }} SessionState  `notice`: why the login is shown; `error`: of the last try to sign in or to reach the service
 */

/** @param {SessionInfo | null} info @param {string} scope */
export const can = (info, scope) => Boolean(info?.key.scopes.includes(scope));

/**
 * @param {Api} api
 * @param {{storage?: Storage, onUpgrade?: (version: string) => void, onSignOut?: () => void, onRefused?: (error: Error) => void}} [options]
 *   `onRefused`: gets the error of a login in a tab that is signed in and stays so
 */
export function createSession(api, options = {}) {
  const { storage = globalThis.localStorage, onUpgrade = () => {}, onSignOut = () => {}, onRefused = () => {} } = options;
  const state = createStore(
    /** @type {SessionState} */ ({ status: "loading", info: null, notice: null, error: null }),
  );
  /** @type {string | null} */
  let version = null;

  /** @param {string | null} notice @param {Error | null} [error] */
  const leave = (notice, error = null) => state.set({ status: "out", info: null, notice, error });

  const leaveWithOtherTab = () => {
    onSignOut();
    leave("You have signed out in another tab.");
  };

  /** For calls that were refused with 401. */
  function ended() {
    if (state.get().status === "out") return;
    // After a sign-out in another tab, the response can be here before the event.
    if (storage.getItem(NOTE) === SIGNED_OUT) return leaveWithOtherTab();
    storage.removeItem(NOTE);
    leave("Your session has ended. Sign in again: what you have typed is still here.");
  }

  /** Ask who is signed in. Without a connection, what is known stays. */
  async function load() {
    if (storage.getItem(NOTE) !== SIGNED_IN) return leave(null);
    try {
      const info = await api.get("session");
      state.set({ status: "in", info, notice: null, error: null });
      if (version !== null && info.version !== version) onUpgrade(info.version);
      version = info.version;
    } catch (error) {
      if (/** @type {any} */ (error).status === 401) return ended();
      if (state.get().status === "in") return;
      state.set({ status: "unreachable", info: null, notice: null, error: /** @type {Error} */ (error) });
    }
  }

  return {
    state,
    load,
    /** @param {{key: string} | {code: string}} secret @param {boolean} [remember] */
    async signIn(secret, remember = false) {
      try {
        await api.post("session", { ...secret, remember });
      } catch (error) {
        // A bad link in the address of a tab that is signed in changes nothing.
        if (state.get().status === "in") onRefused(/** @type {Error} */ (error));
        else {
          storage.removeItem(NOTE);
          leave(null, /** @type {Error} */ (error));
        }
        return;
      }
      storage.setItem(NOTE, SIGNED_IN);
      await load();
    },
    async signOut() {
      storage.setItem(NOTE, SIGNED_OUT); // before the calls of other tabs are refused
      await api.delete("session").catch(() => {}); // without a connection, the cookie ends by itself
      onSignOut();
      leave("You are signed out.");
    },
    ended,
    /** Follow a login or logout in another tab. @param {StorageEvent} event */
    follow(event) {
      if (event.key !== NOTE) return;
      if (event.newValue === SIGNED_IN) load();
      else if (event.newValue === SIGNED_OUT && state.get().status !== "out") leaveWithOtherTab();
    },
  };
}

/** @typedef {ReturnType<typeof createSession>} Session */
