// @ts-check
/** The first script of the page: it takes a login code out of the address before anything else runs. */
const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1] ?? null;
if (code) history.replaceState(null, "", location.pathname + location.search);

const { start } = await import("./main.js");
start(code);
export {};
