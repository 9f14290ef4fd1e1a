// @ts-check
/** The first page: a form for an app, and what comes of it. */

import { useLoad, useStore, useTitle } from "../../components/hooks.js";
import { useRequests } from "../../components/live.js";
import { Failure, Loading } from "../../components/states.js";
import { api, draft } from "../../context.js";
import { replaceQuery } from "../../lib/router.js";
import { html, useEffect, useRef } from "../../../vendor/preact.js";
import { Result } from "../request/result.js";
import { AppForm } from "./app-form.js";
import { Recent } from "./recent.js";
import { Welcome } from "./welcome.js";

/** As in css/generate.css: one column. */
const NARROW = "(max-width: 56rem)";

export const styles = ["generate.css"];

/** @param {{query: {request?: string, app?: string}}} props */
export default function Playground({ query }) {
  useTitle("Generate");
  const { data, error, reload } = useLoad((signal) => api.get("apps", { signal }), []);
  const { app: chosen } = useStore(draft.state);
  const recent = useRequests();
  const results = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!query.app) return;
    draft.choose(query.app);
    replaceQuery({ app: null });
  }, [query.app]);
  if (!data) return error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`;
  const apps = data.items;
  const app = apps.find((/** @type {any} */ each) => each.name === chosen) ?? apps[0];
  const shown = query.request ?? recent[0]?.id ?? null;
  const show = (/** @type {{id: string}} */ { id }) => {
    replaceQuery({ request: id });
    // Below the form, it would come to be unseen.
    if (matchMedia(NARROW).matches) setTimeout(() => results.current?.scrollIntoView());
  };
  return html`
    <div class="playground">
      <section class="card" aria-label="New request">
        <h1 class="unseen">Generate</h1>
        <${AppForm} key=${app.name} app=${app} apps=${apps} onSubmitted=${show} />
      </section>
      <section class="stack" aria-label="Requests" ref=${results}>
        ${shown
          ? html`<div class="card"><${Result} key=${shown} id=${shown} apps=${apps} onNew=${show} /></div>
              <${Recent} items=${recent} shown=${shown} onShow=${show} />`
          : html`<${Welcome} app=${app} />`}
      </section>
    </div>
  `;
}
