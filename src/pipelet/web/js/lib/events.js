// @ts-check
/** Server-sent events out of chunks of text, as the HTML standard reads them. */

/** @typedef {{event: string, data: string, id: string | null}} ServerEvent */

/**
 * Return a function that takes chunks and calls `onEvent` for each event that they complete.
 *
 * @param {(event: ServerEvent) => void} onEvent
 */
export function eventParser(onEvent) {
  let rest = "";
  let event = "";
  /** @type {string[]} */
  let data = [];
  /** @type {string | null} */
  let id = null;

  /** @param {string} line */
  const take = (line) => {
    if (line === "") {
      if (data.length) onEvent({ event: event || "message", data: data.join("\n"), id });
      event = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, which keeps the connection alive
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
    else if (name === "id" && !value.includes("\0")) id = value;
  };

  return (/** @type {string} */ chunk) => {
    const lines = (rest + chunk).split(/\r\n|\n|\r(?!$)/);
    rest = /** @type {string} */ (lines.pop());
    lines.forEach(take);
  };
}
