// @ts-check
/**
 * Routes of the page: `#/requests/abc?view=log`. A route is `{ path: "/requests/:id", … }`; `/*` at the end of a path
 * takes the rest, as `params.rest`.
 *
 *     html`<a href=${href("requests", id)}>…</a>`      // "#/requests/abc"
 *     href("history", { state: "failed" })            // "#/history?state=failed"
 *     navigate(href("history"));                      // a new entry in the browser's history
 *     replaceQuery({ q: "apple" });                   // the same page, with other parameters and no new entry
 */

/**
 * @typedef {{path: string} & Record<string, any>} Route
 * @typedef {{route: Route, params: Record<string, string>, query: Record<string, string>}} Match
 */

/** @param {string} hash @returns {{parts: string[], query: Record<string, string>}} */
export function parseHash(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(decode);
  return { parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** The first route that fits; null if none does. @param {Route[]} routes @param {string} hash @returns {Match | null} */
export function matchRoute(routes, hash) {
  const { parts, query } = parseHash(hash);
  for (const route of routes) {
    const params = matchPath(route.path.split("/").filter(Boolean), parts);
    if (params) return { route, params, query };
  }
  return null;
}

/** @param {string[]} pattern @param {string[]} parts */
function matchPath(pattern, parts) {
  /** @type {Record<string, string>} */
  const params = {};
  const takesRest = pattern.at(-1) === "*";
  const fixed = takesRest ? pattern.slice(0, -1) : pattern;
  if (takesRest ? parts.length < fixed.length : parts.length !== fixed.length) return null;
  for (const [k, name] of fixed.entries()) {
    if (name.startsWith(":")) params[name.slice(1)] = parts[k];
    else if (name !== parts[k]) return null;
  }
  if (takesRest) params.rest = parts.slice(fixed.length).join("/");
  return params;
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a page: parts of its path, then perhaps an object of parameters. @param {...any} parts */
export function href(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const path = `#/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
  return search.size ? `${path}?${search}` : path;
}

/** @param {string} to what `href` returns */
export function navigate(to) {
  location.hash = to;
}

/** Show the page at another address, without a new entry in the browser's history. @param {string} to */
export function replace(to) {
  history.replaceState(null, "", to);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** @param {Record<string, any>} query what to change; null takes a parameter away */
export function replaceQuery(query) {
  const found = parseHash(location.hash);
  replace(href(...found.parts, { ...found.query, ...query }));
}
