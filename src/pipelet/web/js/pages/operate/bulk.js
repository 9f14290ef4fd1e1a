// @ts-check
/**
 * The dialog before an action on many requests. It counts them first, and the service does nothing if its own count
 * differs: then the dialog says so, and asks again.
 *
 *     html`<${BulkDialog} verb="retry" filter=${filter} onClose=${close} onDone=${reload} />`
 *     html`<${BulkDialog} verb="delete" items=${[…]} … />`
 */

import { Dialog } from "../../components/dialog.js";
import { toast } from "../../components/toast.js";
import { api } from "../../context.js";
import { plural } from "../../lib/format.js";
import { changed, countStates, filterFor, outcome, question, word } from "../../lib/history/bulk.js";
import { bulkFilter, describeFilter } from "../../lib/operate/filters.js";
import { html, useEffect, useState } from "../../../vendor/preact.js";

/**
 * @param {{verb: import("../../lib/history/bulk.js").Verb, filter?: any, items?: {id: string, state: string}[], onClose: () => void, onDone: () => void}} props
 */
export function BulkDialog({ verb, filter: wanted = {}, items, onClose, onDone }) {
  const filter = filterFor(verb, wanted);
  const [found, setFound] = useState(/** @type {{count: number, by_state: Record<string, number>} | null} */ (items ? { count: items.length, by_state: countStates(items) } : null));
  const [notice, setNotice] = useState(/** @type {string | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const count = (/** @type {AbortSignal} */ signal) =>
    api.get("requests/count", { query: bulkFilter(filter), signal }).then(setFound, (error) => signal.aborted || setNotice(error.message));
  useEffect(() => {
    if (items) return;
    const abort = new AbortController();
    count(abort.signal);
    return () => abort.abort();
  }, []);

  const run = async () => {
    setBusy(true);
    const which = items ? { ids: items.map((item) => item.id) } : { filter: bulkFilter(filter), expect: found?.count };
    try {
      const result = await api.post(`requests/${verb}`, verb === "cancel" ? { ...which, in_progress: true } : which);
      toast(outcome(verb, result));
      onDone();
      onClose();
    } catch (error) {
      const refused = /** @type {import("../../lib/api.js").ApiError} */ (error);
      const hasChanged = refused.type === "count_differs" && found && refused.count !== null;
      setNotice(hasChanged ? changed(found.count, /** @type {number} */ (refused.count)) : refused.message);
      if (hasChanged) await count(new AbortController().signal);
      setBusy(false);
    }
  };

  const asked = found && question(verb, found.by_state, { isForOthers: true });
  return html`
    <${Dialog} title=${asked ? asked.title : `${word(verb)} requests`} onClose=${onClose}>
      ${notice && html`<p class="notice" data-kind="warn" role="alert">${notice}</p>`}
      ${!asked && !notice && html`<p class="muted" role="status">The service counts the ${describeFilter(filter)}…</p>`}
      ${asked && !items && html`<p>The service finds ${plural(found.count, "request")} now: ${describeFilter(filter)}.</p>`}
      ${asked && html`<p class="muted">${asked.lines.join(" ")}</p>`}
      <div class="actions end">
        <button onClick=${onClose}>Back</button>
        ${asked && html`<button class=${asked.isDangerous ? "danger" : "primary"} disabled=${isBusy || !asked.count} onClick=${run}>${isBusy ? "One moment…" : asked.confirm}</button>`}
      </div>
    <//>
  `;
}
