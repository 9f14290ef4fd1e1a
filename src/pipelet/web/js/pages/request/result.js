// @ts-check
/** A request as it comes to be: its state, previews, images, and what can be done to it. */

import { FullImage, describe } from "../../components/images.js";
import { usePreviews, useRequestDetail, useRequests } from "../../components/live.js";
import { lazy } from "../../components/lazy.js";
import { RequestProgress, State, lineOf } from "../../components/progress.js";
import { useNow } from "../../components/hooks.js";
import { Empty, Failure, Loading } from "../../components/states.js";
import { announce, toast } from "../../components/toast.js";
import { api } from "../../context.js";
import { ago } from "../../lib/format.js";
import { fieldsOf, inputOf, withoutDefaults } from "../../lib/form.js";
import { hasEnded } from "../../lib/requests.js";
import { href } from "../../lib/router.js";
import { html, useEffect, useState } from "../../../vendor/preact.js";
import { again, cancel, edit, useAsInput, vary } from "./acts.js";

const ChooseOther = lazy(() => import("./choose-other.js"));
const Snippets = lazy(() => import("./snippets.js"));
const Viewer = lazy(() => import("./viewer.js"));

/** Images that are shown large, two in a row. */
const FEW = 4;

/**
 * @param {{id: string, apps?: any[], onNew: (detail: any) => void, heading?: any}} props
 *   `apps`: as the API lists them; `onNew`: gets a request that was made out of this one
 */
export function Result({ id, apps = [], onNew, heading = null }) {
  const { item, detail, error, isDeleted, reload } = useRequestDetail(id);
  const now = useNow(item && hasEnded(item) ? 30_000 : 1_000);
  const message = item && lineOf(item);
  const editApp = apps.find(({ task }) => task === "image-edit")?.name ?? null;
  useEffect(() => {
    if (message) announce(message);
  }, [message]);
  if (isDeleted) return html`<${Gone} isPage=${heading !== null} />`;
  if (!item) return error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`;
  return html`
    <article class="result stack" aria-label="Request">
      <header class="row spread">
        <span class="row">
          <${State} state=${item.state} />
          ${heading ?? html`<a href=${href("requests", id)} class="small mono">${id}</a>`}
        </span>
        <span class="row">
          <span class="muted small">${ago(item.submitted_at, now)}</span>
          ${!hasEnded(item) && html`<button class="small" onClick=${() => cancel(item)}>Cancel</button>`}
        </span>
      </header>
      ${item.state === "failed"
        ? html`<div class="notice" data-kind="error" role="alert"><strong>${item.error_type}</strong> ${item.error}</div>`
        : html`<${RequestProgress} item=${item} now=${now} />`}
      ${item.retried_as && html`<p class="muted">It was <a href=${href("requests", item.retried_as)}>queued again</a>.</p>`}
      <${Images} item=${item} detail=${detail} editApp=${editApp} renew=${reload} />
      ${item.input?.prompt && html`<p class="prompt">${item.input.prompt}</p>`}
      <${Actions} item=${item} detail=${detail} app=${apps.find(({ name }) => name === item.app)} onNew=${onNew} />
    </article>
  `;
}

/** What stands in place of a request that is not there. @param {{isPage?: boolean}} props */
export function Gone({ isPage = false }) {
  return html`
    <${Empty} isPage=${isPage} title="This request is not here">
      It was deleted, its time is over, or it belongs to another user. <a href="#/history">Open your history</a> or <a href="#/">generate an image</a>.
    <//>
  `;
}

/** @param {{item: any, detail: any, editApp: string | null, renew: () => void}} props */
function Images({ item, detail, editApp, renew }) {
  const previews = usePreviews(item);
  const [shown, setShown] = useState(/** @type {number | null} */ (null));
  const alt = describe(item);
  const images = detail?.images ?? [];
  if (detail && detail.images === null) return html`<p class="muted">Your key may not see what other users generate: that needs the scope <code>content</code>.</p>`;
  if (item.state === "succeeded" && detail && !images.length) return html`<p class="muted">The images are not kept.</p>`;
  if (hasEnded(item) && item.state !== "succeeded" && !images.length) return null;
  const style = { aspectRatio: `${item.width} / ${item.height}` };
  return html`
    <ul class="images" data-count=${item.batch_size} data-many=${item.batch_size > FEW || null}>
      ${Array.from({ length: item.batch_size }, (_, k) => {
        const image = images[k];
        return html`
          <li key=${k}>
            ${image
              ? html`<button class="full-image" aria-label=${`Show image ${k + 1} large`} onClick=${() => setShown(k)} style=${style}><${FullImage} image=${image} alt=${alt} renew=${renew} /></button>`
              : previews[k]
                ? html`<img class="preview" src=${previews[k].image} alt=${`Preview of image ${k + 1}`} style=${style} />`
                : html`<span class="pending" data-state=${item.state} style=${style}></span>`}
            ${image &&
            html`<span class="row image-tools">
              <a class="button quiet small" href=${image.url} download=${image.file_name} target="_blank" rel="noopener">Download</a>
              ${editApp && html`<button class="quiet small" onClick=${() => useAsInput(image.url, editApp)}>Use as input</button>`}
            </span>`}
          </li>
        `;
      })}
    </ul>
    ${shown !== null && images[shown] && html`<${Viewer} images=${images} index=${shown} alt=${alt} onIndex=${setShown} onClose=${() => setShown(null)} renew=${renew} />`}
  `;
}

/** @param {{item: any, detail: any, app: any, onNew: (detail: any) => void}} props */
function Actions({ item, detail, app, onNew }) {
  const [dialog, setDialog] = useState(/** @type {"code" | "compare" | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  const others = useRequests().filter(({ id, state }) => id !== item.id && state === "succeeded");
  if (!detail?.input) return null;
  const run = async (/** @type {(detail: any, app: any) => Promise<any>} */ act) => {
    setBusy(true);
    const made = await act(detail, app);
    setBusy(false);
    if (!made) return;
    toast("The request is in the queue.");
    onNew(made);
  };
  const hasImages = detail.images?.length > 0;
  return html`
    <div class="actions">
      <button onClick=${() => run(again)} disabled=${isBusy} title="The same seed: the same images">Again</button>
      <button onClick=${() => run(vary)} disabled=${isBusy} title="Another seed: other images">Vary</button>
      <button onClick=${() => edit(detail)}>Edit as new</button>
      ${hasImages && others.length > 0 && html`<button onClick=${() => setDialog("compare")}>Compare…</button>`}
      ${detail.images?.length > 1 && html`<a class="button" href=${api.url("requests/archive", { ids: item.id })} download>Download all</a>`}
      <button onClick=${() => setDialog("code")}>Code</button>
    </div>
    ${dialog === "code" && html`<${Snippets} app=${item.app} input=${withoutDefaults(inputOf(detail, app), app ? fieldsOf(app.input_schema) : [])} onClose=${() => setDialog(null)} />`}
    ${dialog === "compare" && html`<${ChooseOther} item=${item} others=${others} onClose=${() => setDialog(null)} />`}
  `;
}
