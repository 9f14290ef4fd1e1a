// @ts-check
/**
 * What stands where content is not there:
 *
 *     if (error && !data) return html`<${Failure} error=${error} retry=${reload} />`;
 *     if (!data) return html`<${Loading} />`;
 *     if (!data.items.length) return html`<${Empty} title="No requests yet">Generate an image first.<//>`;
 */

import { html, useEffect, useState } from "../../vendor/preact.js";

const PATIENCE_MS = 300;

/** Nothing at first: what takes a moment needs no sign. @param {{label?: string}} props */
export function Loading({ label = "Loading…" }) {
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="state" aria-busy="true">${isShown && html`<span class="spinner"></span><p role="status">${label}</p>`}</div>`;
}

/** @param {{title: string, isPage?: boolean, children?: any}} props `isPage`: it is all that the page has */
export function Empty({ title, isPage = false, children }) {
  const heading = isPage ? html`<h1>${title}</h1>` : html`<h2>${title}</h2>`;
  return html`<div class="state">${heading}${children && html`<div class="muted">${children}</div>`}</div>`;
}

/** An error in the words of the service. @param {{error: any, retry?: () => void, title?: string}} props */
export function Failure({ error, retry, title }) {
  const isOffline = error.status === 0;
  return html`
    <div class="state" role="alert">
      <h2>${title ?? (isOffline ? "No connection" : "This did not work")}</h2>
      <p class="muted">${error.message}${error.isTemporary ? " Trying again…" : ""}</p>
      ${retry && html`<button onClick=${retry}>Try again</button>`}
    </div>
  `;
}

/** The whole page without a service. @param {{error: any, retry: () => void}} props */
export function Unreachable({ error, retry }) {
  const text = error?.status ? error.message : "It may be stopped, or the network is down.";
  return html`
    <div class="state" role="alert">
      <h1>The service does not respond</h1>
      <p class="muted">${text} This page tries again every few seconds.</p>
      <button onClick=${retry}>Try now</button>
    </div>
  `;
}
