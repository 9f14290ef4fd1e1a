// @ts-check
/** What is selected, and what can be done to it. */

import { orToast } from "../../components/toast.js";
import { number } from "../../lib/format.js";
import { countStates, filterFor, fits, fitting, sum, verbsFor, word } from "../../lib/history/bulk.js";
import { html, useState } from "../../../vendor/preact.js";
import { MOST_IN_ARCHIVE, actOn, archiveUrl } from "./acts.js";

/**
 * @param {{chosen: any[], all: {filter: any, counts: any} | null, isMore: boolean, onAll: () => Promise<void>,
 *   onClear: () => void, onDone: () => void}} props
 *   `chosen`: requests; `all`: instead of them, all that match; `isMore`: all that are shown are selected, and more match
 */
export function SelectionBar({ chosen, all, isMore, onAll, onClear, onDone }) {
  const [busy, setBusy] = useState(/** @type {string | null} */ (null));
  const counts = all?.counts ?? countStates(chosen);
  const count = sum(counts);
  /** @param {string} what @param {() => Promise<any>} run */
  const during = async (what, run) => {
    setBusy(what);
    await orToast(run());
    setBusy(null);
  };
  const act = (/** @type {import("./acts.js").Verb} */ verb) =>
    during(verb, async () => (await actOn(verb, targetOf(verb, chosen, all))) && onDone());
  return html`
    <section class="selection-bar" aria-label="Selection">
      <p role="status"><strong>${number(count)}</strong> selected</p>
      ${isMore && !all && html`<button class="quiet" disabled=${busy} onClick=${() => during("count", onAll)}>Select all that match</button>`}
      <div class="actions">
        <${Download} chosen=${chosen} isAll=${Boolean(all)} />
        ${verbsFor(undefined).map((verb) => {
          const most = fitting(verb, targetOf(verb, chosen, all).counts ?? counts);
          return html`<button key=${verb} class=${verb === "delete" ? "danger" : ""} disabled=${!most || busy} onClick=${() => act(verb)}>
            ${word(verb)}${most && most < count && !(all && verb === "retry") ? ` ${number(most)}` : ""}
          </button>`;
        })}
        <button class="quiet" onClick=${onClear}>Clear</button>
      </div>
    </section>
  `;
}

/** The requests that an action changes. Those that were retried are not retried again. @param {import("./acts.js").Verb} verb @param {any[]} chosen @param {any} all @returns {import("./acts.js").Target} */
export function targetOf(verb, chosen, all) {
  if (all) return verb === "retry" ? { filter: filterFor(verb, all.filter) } : all;
  if (verb === "retry") chosen = chosen.filter((item) => fits(verb, item));
  return { ids: chosen.map(({ id }) => id), counts: countStates(chosen), kept: chosen.filter(({ kept }) => kept).length };
}

/** @param {{chosen: any[], isAll: boolean}} props */
function Download({ chosen, isAll }) {
  const ids = chosen.filter((item) => item.thumbnails?.length).map(({ id }) => id);
  if (isAll || ids.length > MOST_IN_ARCHIVE) return html`<span class="muted small">Downloads take up to ${MOST_IN_ARCHIVE}</span>`;
  if (!ids.length) return html`<button disabled>Download</button>`;
  return html`<a class="button" href=${archiveUrl(ids)} download="images.zip">Download${ids.length < chosen.length ? ` ${number(ids.length)}` : ""}</a>`;
}
