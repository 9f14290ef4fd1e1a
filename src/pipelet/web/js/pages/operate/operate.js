// @ts-check
/** The operator's desk: its screens, and which of them a key may open. */

import { Outlet } from "../../components/outlet.js";
import { Empty } from "../../components/states.js";
import { useStore, useTitle } from "../../components/hooks.js";
import { session } from "../../context.js";
import { href } from "../../lib/router.js";
import { can } from "../../lib/session.js";
import { html, useEffect, useRef } from "../../../vendor/preact.js";
import { reconnect, useOverviewStream } from "./live.js";

export const styles = ["operate.css", "../vendor/uplot.css"];

/** A key needs all `scopes` of a screen. */
const SCREENS = [
  { name: "", label: "Overview", scopes: ["observe"], load: () => import("./overview.js") },
  { name: "requests", label: "Requests", scopes: ["observe", "generate"], load: () => import("./requests.js") },
  { name: "failures", label: "Failures", scopes: ["observe"], load: () => import("./failures.js") },
  { name: "workers", label: "Workers", scopes: ["observe"], load: () => import("./workers.js") },
  { name: "keys", label: "Keys", scopes: ["keys"], load: () => import("./keys/keys.js") },
  { name: "webhooks", label: "Webhooks", scopes: ["observe"], load: () => import("./webhooks.js") },
  { name: "storage", label: "Storage", scopes: ["observe"], load: () => import("./storage.js") },
  { name: "audit", label: "Audit", scopes: ["observe"], load: () => import("./audit.js") },
  { name: "system", label: "System", scopes: ["observe"], load: () => import("./system.js") },
];
const KEY = { name: "keys", label: "Key", scopes: ["keys"], load: () => import("./keys/key.js") };

/** @param {{params: {rest: string}, query: Record<string, string>}} props */
export default function Operate({ params, query }) {
  const { info } = useStore(session.state);
  const [name = "", id = ""] = params.rest.split("/");
  const allowed = SCREENS.filter(({ scopes }) => scopes.every((scope) => can(info, scope)));
  const named = name === "keys" && id ? KEY : SCREENS.find((each) => each.name === name && !id);
  // A key for keys alone opens with them: it cannot see the overview.
  const screen = name === "" && !can(info, "observe") ? allowed[0] : named;
  const missing = screen?.scopes.find((scope) => !can(info, scope));
  const { status, error } = useOverviewStream(can(info, "observe"));
  const tabs = useRef(/** @type {HTMLElement | null} */ (null));
  // On a phone the tabs scroll to the side: the one that is open is in sight.
  useEffect(() => tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [screen]);
  useTitle(screen ? `${screen.label} · Operate` : "Operate");
  return html`
    <div class="operate">
      <div class="operate-head">
        <nav class="tabs" ref=${tabs} aria-label="Screens of operators">
          ${allowed.map(
            ({ name: own, label }) =>
              html`<a key=${own} href=${own ? href("operate", own) : href("operate")} aria-current=${own === screen?.name ? "page" : undefined}>${label}</a>`,
          )}
        </nav>
        ${can(info, "observe") && html`<${Live} status=${status} error=${error} />`}
      </div>
      ${!screen
        ? html`<${Empty} isPage title="There is no such screen"><a href="#/operate">To the overview</a><//>`
        : missing
          ? html`<${Empty} isPage title="Your key may not open this screen">It needs the scope <code>${missing}</code>. The operator can add it.<//>`
          : html`<${Outlet} page=${screen} params=${{ id }} query=${query} />`}
    </div>
  `;
}

/** Whether what is shown is live. @param {{status: string, error: any}} props */
function Live({ status, error }) {
  if (status === "open") return html`<span class="badge" data-state="good" title="The screens change by themselves">Live</span>`;
  if (status !== "lost") return html`<span class="badge">Connecting</span>`;
  return html`
    <span class="row">
      <span class="badge" data-state="warn" title=${error?.message}>Not live</span>
      <button class="quiet small" onClick=${reconnect}>Try now</button>
    </span>
  `;
}
