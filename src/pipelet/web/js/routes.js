// @ts-check
/**
 * The pages, each loaded when it is first opened. A page's module exports a component as `default`, which gets
 * `{ params, query }` of lib/router.js, and may export `styles`: names of files in `css/` to load before it is shown.
 *
 * `area` is the entry of the navigation that is marked; `scope` is needed to open the page.
 */

/** @type {import("./lib/router.js").Route[]} */
export const ROUTES = [
  { path: "/", area: "generate", load: () => import("./pages/playground/playground.js") },
  { path: "/requests/:id", area: "history", load: () => import("./pages/request/request.js") },
  { path: "/compare/:a/:b", area: "history", load: () => import("./pages/compare/compare.js") },
  { path: "/history", area: "history", load: () => import("./pages/history/history.js") },
  { path: "/usage", area: "usage", load: () => import("./pages/usage/usage.js") },
  { path: "/operate/*", area: "operate", scope: "observe", load: () => import("./pages/operate/operate.js") },
];

/** Entries of the navigation: area, words, address, and the scopes: any of them shows it. */
export const AREAS = [
  { area: "generate", label: "Generate", to: "#/", scopes: ["generate"] },
  { area: "history", label: "History", to: "#/history", scopes: ["generate"] },
  { area: "usage", label: "Usage", to: "#/usage", scopes: ["generate", "observe"] },
  { area: "operate", label: "Operate", to: "#/operate", scopes: ["observe", "keys"] },
];
