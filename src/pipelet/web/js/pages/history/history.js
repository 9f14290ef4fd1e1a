// @ts-check
/** All requests of the user: as a grid or a list, with filters, and what can be done to many. */

import { Segments } from "../../components/fields.js";
import { useNow, useTitle } from "../../components/hooks.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { announce } from "../../components/toast.js";
import { session } from "../../context.js";
import { plural } from "../../lib/format.js";
import { isFiltered, isInTime, readFilter, untilShown } from "../../lib/history/filter.js";
import { NONE, everything, extend, toggle, within } from "../../lib/history/selection.js";
import { replaceQuery } from "../../lib/router.js";
import { html, useEffect, useRef, useState } from "../../../vendor/preact.js";
import { keep } from "../request/acts.js";
import { actOn, countMatching } from "./acts.js";
import { Filters, clearFilters } from "./filters.js";
import { Grid } from "./grid.js";
import { useListKeys } from "./keys.js";
import { Rows } from "./rows.js";
import { SelectionBar, targetOf } from "./selection-bar.js";
import { useListing } from "./use-listing.js";

export const styles = ["history.css"];

/** @param {{query: Record<string, string>}} props */
export default function History({ query }) {
  useTitle("History");
  const filter = readFilter(query);
  const user = session.state.get().info?.user ?? "";
  const found = useListing(user, filter);
  return html`
    <div class="page-head">
      <h1>History</h1>
      <${Segments} label="View" value=${query.view === "list" ? "list" : ""} options=${[["", "▦ Grid"], ["list", "≡ List"]]} onInput=${(/** @type {string} */ view) => replaceQuery({ view: view || null })} />
    </div>
    <${Filters} filter=${filter} />
    <${Content} key=${JSON.stringify(filter)} found=${found} filter=${filter} isList=${query.view === "list"} />
  `;
}

/** @param {{found: ReturnType<typeof useListing>, filter: any, isList: boolean}} props */
function Content({ found, filter, isList }) {
  const { rows, next, isLoaded, isBusy, error, listing } = found;
  if (!isLoaded) return error ? html`<${Failure} error=${error} retry=${listing.reload} />` : html`<${Loading} />`;
  return html`
    ${error && html`<p class="notice" data-kind="warn" role="status">${error.message} What you see may be old.</p>`}
    ${rows.length ? html`<${Selectable} found=${found} isList=${isList} />` : html`<${Nothing} isFiltered=${isFiltered(filter)} q=${filter.q} isMore=${next !== null} />`}
    ${next !== null && html`<${Older} listing=${listing} isBusy=${isBusy} isSearch=${!rows.length} />`}
    ${next === null && filter.q && rows.length > 0 && html`<p class="muted small end-of-list">The search looks at your newest 2,000 requests.</p>`}
  `;
}

/** @param {{isFiltered: boolean, q: string, isMore: boolean}} props */
function Nothing({ isFiltered, q, isMore }) {
  if (!isFiltered) return html`<${Empty} title="No requests yet"><div class="stack"><p>What you generate is listed here.</p><p><a class="button primary" href="#/">Generate an image</a></p></div><//>`;
  return html`
    <${Empty} title=${isMore ? "Nothing matches so far" : "Nothing matches"}>
      <div class="stack">
        ${q && html`<p>The search looks for a part of the prompt among your newest 2,000 requests.</p>`}
        <p><button onClick=${clearFilters}>Clear the filters</button></p>
      </div>
    <//>
  `;
}

/** A button, so that the end of the page can be reached. @param {{listing: any, isBusy: boolean, isSearch: boolean}} props */
function Older({ listing, isBusy, isSearch }) {
  const load = async () => {
    const before = listing.state.get().items.length;
    await listing.older();
    const come = listing.state.get().items.slice(before);
    announce(come.length ? `${plural(come.length, "more request")} shown` : "No more requests");
    if (come.length) focusMain(come[0].id);
  };
  return html`<p class="end-of-list"><button onClick=${load} disabled=${isBusy}>${isBusy ? "Loading…" : isSearch ? "Search older requests" : "Older"}</button></p>`;
}

/** @param {string} id */
const mainOf = (id) => /** @type {HTMLElement | null} */ (document.querySelector(`[data-key="${id}"] [data-main]`));

/** After the next frame, when it is there. @param {string} id */
const focusMain = (id) => requestAnimationFrame(() => mainOf(id)?.focus());

/** @param {{found: ReturnType<typeof useListing>, isList: boolean}} props */
function Selectable({ found, isList }) {
  const { rows, next, wanted, listing } = found;
  const [selection, setSelection] = useState(NONE);
  const [all, setAll] = useState(/** @type {any} */ (null));
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const now = useNow(1_000 * (rows.some((item) => item.state === "queued" || item.state === "running") ? 1 : 30));
  const order = rows.map(({ id }) => id);
  const shown = within(selection, order);
  const selected = all ? new Set(rows.filter((item) => isInTime(item, all.filter)).map(({ id }) => id)) : shown.ids;
  const chosen = rows.filter(({ id }) => selected.has(id));

  /** @param {import("../../lib/history/selection.js").Selection} next */
  const select = (next) => (setAll(null), setSelection(next));
  const onToggle = (/** @type {string} */ id, /** @type {boolean} */ isRange) =>
    select(isRange ? extend(shown, id, order) : toggle({ ...shown, ids: selected }, id));
  const onExtend = (/** @type {string} */ from, /** @type {string} */ to) => select(extend({ ids: selected, anchor: shown.anchor ?? from }, to, order));
  const onSelectAll = () => select(everything(order));
  const onClear = () => select(NONE);
  // What had the focus goes away with the selection.
  const leave = () => (onClear(), list.current?.focus({ preventScroll: true }));
  const onDone = () => (leave(), listing.reload());
  const onDelete = async (/** @type {string} */ id) => {
    const meant = chosen.length ? chosen : rows.filter((item) => item.id === id);
    if (await actOn("delete", targetOf("delete", meant, all))) onDone();
  };
  const onSearch = () => /** @type {HTMLElement | null} */ (document.querySelector("input[type=search]"))?.focus();
  const keys = useListKeys(list, { onToggle: (id) => onToggle(id, false), onExtend, onSelectAll, onClear, onDelete, onSearch });
  useReturn(order, keys.activate);

  const onAll = async () => {
    const filter = untilShown(wanted, rows[0].submitted_at);
    setAll({ filter, counts: await countMatching(filter) });
  };
  const onKeep = async (/** @type {any} */ item, /** @type {boolean} */ kept) => listing.replace(await keep(item, kept));
  const shownRows = { rows, now, selected, onToggle, onSelectAll, onClear, onKeep };
  return html`
    <section ref=${list} tabindex="-1" class="requests" aria-label="Requests" aria-describedby="list-keys" onKeyDown=${keys.onKeyDown} onFocusIn=${keys.onFocusIn}>
      ${isList ? html`<${Rows} ...${shownRows} />` : html`<${Grid} ...${shownRows} />`}
      <p id="list-keys" class="list-keys muted small">Arrow keys move, Space selects, with Shift a range, Ctrl+A all, Esc none, Delete deletes, / searches.</p>
    </section>
    ${selected.size > 0 && html`
      <${SelectionBar} chosen=${chosen} all=${all} isMore=${next !== null && selected.size === rows.length} onAll=${onAll} onClear=${leave} onDone=${onDone} />`}
  `;
}

/** The request that was opened last. */
let opened = "";

/** Show the request again that a person comes back from. @param {string[]} order @param {(id: string) => void} activate */
function useReturn(order, activate) {
  useEffect(() => {
    if (opened && order.includes(opened)) {
      activate(opened);
      mainOf(opened)?.closest("[data-key]")?.scrollIntoView({ block: "center" });
    }
    opened = "";
    return () => void (opened = /^#\/requests\/(\w+)/.exec(location.hash)?.[1] ?? "");
  }, []);
}
