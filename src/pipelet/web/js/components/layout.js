// @ts-check
/** The frame of every page: navigation, who is signed in, and what is wrong with the connection. */

import { session, stream } from "../context.js";
import { number } from "../lib/format.js";
import { matchRoute } from "../lib/router.js";
import { can } from "../lib/session.js";
import { applyTheme, theme } from "../lib/theme.js";
import { AREAS, ROUTES } from "../routes.js";
import { html, useEffect, useState } from "../../vendor/preact.js";
import { useStore, useTitle } from "./hooks.js";
import { Outlet } from "./outlet.js";
import { Empty } from "./states.js";

/** How long a connection may be lost until the page says so, in milliseconds. */
const PATIENCE_MS = 1_500;
/** @type {Record<string, "auto" | "light" | "dark">} */
const NEXT_THEME = { auto: "light", light: "dark", dark: "auto" };

/** @param {{info: import("../lib/session.js").SessionInfo, takesFocus: boolean}} props */
export function Layout({ info, takesFocus }) {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const onChange = () => setHash(location.hash);
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  const match = matchRoute(ROUTES, hash);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/">Pipelet</a>
      <nav aria-label="Pages">
        ${AREAS.filter(({ scopes }) => scopes.some((scope) => can(info, scope))).map(
          ({ area, label, to }) =>
            html`<a key=${area} href=${to} aria-current=${match?.route.area === area ? "page" : undefined}>${label}</a>`,
        )}
      </nav>
      <${Account} info=${info} />
    </header>
    ${!isSecureContext && html`<div class="banner">This connection is not encrypted: others in the network can read what you do here.</div>`}
    <${Connection} />
    <main id="main" tabindex="-1"><${Content} match=${match} info=${info} takesFocus=${takesFocus} /></main>
  `;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {{match: import("../lib/router.js").Match | null, info: any, takesFocus: boolean}} props */
function Content({ match, info, takesFocus }) {
  if (!match) return html`<${NotFound} />`;
  const { route, params, query } = match;
  const scopes = AREAS.find(({ area }) => area === route.area)?.scopes ?? [];
  if (!scopes.some((scope) => can(info, scope))) return html`<${NoScope} scopes=${scopes} />`;
  return html`<${Outlet} page=${route} params=${params} query=${query} takesFocus=${takesFocus} />`;
}

function NotFound() {
  useTitle("Not found");
  return html`<${Empty} isPage title="There is no such page"><a href="#/">Generate an image</a> or open <a href="#/history">your history</a>.<//>`;
}

/** @param {{scopes: string[]}} props */
function NoScope({ scopes }) {
  useTitle("Not allowed");
  return html`
    <${Empty} isPage title="Your key may not open this page">
      It needs the scope ${scopes.map((scope, k) => html`${k ? " or " : ""}<code>${scope}</code>`)}. The operator can add it.
      <p><a href="#/">To the first page</a></p>
    <//>
  `;
}

/** @param {{info: import("../lib/session.js").SessionInfo}} props */
function Account({ info }) {
  const [chosen, setChosen] = useState(theme);
  const change = () => {
    applyTheme(NEXT_THEME[chosen]);
    setChosen(NEXT_THEME[chosen]);
  };
  const most = info.user_limits.max_queued_images;
  const used = info.used_by_user.queued_images;
  return html`
    <div class="account">
      ${most !== null && used > 0 && html`<span class="muted small" title="Images in the queue">${number(used)} / ${number(most)} queued</span>`}
      <span class="user" title=${`Key ${info.key.name}`}>${info.user}</span>
      <button class="quiet" onClick=${change} title=${`Theme: ${chosen}`} aria-label=${`Theme: ${chosen}. Change`}>◐</button>
      <button class="quiet" onClick=${session.signOut}>Sign out</button>
    </div>
  `;
}

function Connection() {
  const { status, error } = useStore(stream.state);
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    if (status !== "lost") {
      if (status !== "connecting") setShown(false);
      return;
    }
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [status]);
  if (!isShown || status === "closed") return html`<div role="status" class="unseen"></div>`;
  const text = error?.status ? error.message : "The connection to the service is lost.";
  return html`
    <div class="banner" role="status">
      <span>${text} What you see may be old. Trying again…</span>
      <button class="quiet" onClick=${stream.reconnect}>Try now</button>
    </div>
  `;
}
