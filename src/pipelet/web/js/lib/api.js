// @ts-check
/**
 * Calls of `/api/v1`. Pages use the one `api` of context.js:
 *
 *     const page = await api.get("requests", { query: { state: "failed", limit: 50 }, signal });
 *     await api.post("operate/apps/NAME/pause");
 *
 * Paths are relative to `/api/v1/`; `path` encodes the parts of one. Parameters that are null, undefined or "" are not
 * sent. A response with a JSON body returns it, one without returns null. Everything else throws `ApiError`, whose
 * `message` is for people. A 401 also ends the session, which shows the login,
 * unless the call was about the session.
 */

export class ApiError extends Error {
  /**
   * @param {number} status HTTP status; 0 where no response came
   * @param {string} message
   * @param {{type?: string | null, detail?: any, count?: number | null, retryAfter?: number | null}} [more]
   *   `type`: `error_type`; `detail`: text, or list of faults with `loc` and `msg`; `count`: of a refused bulk
   *   operation; `retryAfter`: seconds
   */
  constructor(status, message, { type = null, detail = null, count = null, retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.detail = detail;
    this.count = count;
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed in a moment: no connection, or the service says so. */
  get isTemporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * @typedef {{query?: Record<string, any>, signal?: AbortSignal, body?: any, headers?: Record<string, string>,
 *   read?: "json" | "blob"}} Options  `body`: an object is sent as JSON, a Blob as it is; `read`: how the response is read
 */

/** The parts of a path, encoded. @param {...(string | number)} parts */
export const path = (...parts) => parts.map((part) => encodeURIComponent(part)).join("/");

/**
 * @param {{base: string, onSignedOut?: () => void, fetch?: typeof globalThis.fetch}} options
 *   `base`: URL of `/api/v1/`, with the slash
 */
export function createApi({ base, onSignedOut = () => {}, fetch = (...args) => globalThis.fetch(...args) }) {
  /** @param {string} to @param {Record<string, any>} [query] */
  const url = (to, query = {}) => {
    const found = new URL(to, base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined && value !== "") found.searchParams.set(name, String(value));
    }
    return found.href;
  };

  /** @param {string} method @param {string} to @param {Options} [options] @returns {Promise<any>} */
  async function call(method, to, { query, signal, body, headers = {}, read = "json" } = {}) {
    const isUnsafe = method !== "GET";
    const isBlob = typeof Blob !== "undefined" && body instanceof Blob;
    const sent = {
      Accept: "application/json",
      ...(isUnsafe ? { "X-Pipelet": "1", "Content-Type": "application/json" } : {}),
      ...headers,
    };
    /** @type {Response} */
    let response;
    try {
      response = await fetch(url(to, query), {
        method,
        signal,
        headers: sent,
        credentials: "same-origin",
        body: body === undefined ? undefined : isBlob ? body : JSON.stringify(body),
      });
    } catch (error) {
      if (/** @type {Error} */ (error).name === "AbortError") throw error;
      throw new ApiError(0, "The service cannot be reached.");
    }
    if (response.status === 401 && to !== "session") onSignedOut();
    if (!response.ok) throw await readError(response);
    if (response.status === 204) return null;
    return read === "blob" ? response.blob() : response.json();
  }

  return {
    url,
    call,
    /** @param {string} to @param {Options} [options] */
    get: (to, options) => call("GET", to, options),
    /** @param {string} to @param {any} [body] @param {Options} [options] */
    post: (to, body, options) => call("POST", to, { ...options, body }),
    /** @param {string} to @param {any} [body] @param {Options} [options] */
    patch: (to, body, options) => call("PATCH", to, { ...options, body }),
    /** @param {string} to @param {Options} [options] */
    delete: (to, options) => call("DELETE", to, options),
  };
}

/** @typedef {ReturnType<typeof createApi>} Api */

/** An error response as an `ApiError`. @param {Response} response */
export async function readError(response) {
  const body = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("retry-after"));
  return new ApiError(response.status, body.message || `The service responded with status ${response.status}.`, {
    type: body.error_type,
    detail: body.detail,
    count: body.count,
    retryAfter: response.headers.has("retry-after") && wait >= 0 ? wait : null,
  });
}
