// @ts-check
/** Shows a page that is loaded on demand, and what is the case if it cannot be. */

import { html, Component, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Loading } from "./states.js";

/** @param {string} name of a file in `css/` */
function loadStyle(name) {
  const url = new URL(`../../css/${name}`, import.meta.url).href;
  if (document.querySelector(`link[href="${url}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url, onload: resolve, onerror: reject });
    document.head.append(link);
  });
}

/** @param {{load: () => Promise<any>}} page */
async function loadPage(page) {
  const module = await page.load();
  await Promise.all((module.styles ?? []).map(loadStyle));
  return module.default;
}

/** @param {{page: {load: () => Promise<any>}, params?: any, query?: any}} props */
export function Outlet({ page, params = {}, query = {} }) {
  const [shown, setShown] = useState(/** @type {any} */ ({ page: null, Page: null, error: null }));
  const isFirst = useRef(true);
  useEffect(() => {
    let isCurrent = true;
    loadPage(page).then(
      (Page) => isCurrent && setShown({ page, Page, error: null }),
      (error) => isCurrent && setShown({ page, Page: null, error }),
    );
    return () => void (isCurrent = false);
  }, [page]);
  useEffect(() => {
    // Readers of another page start at its beginning; those who have just come are there.
    const main = document.getElementById("main");
    if (shown.Page && !isFirst.current && !main?.contains(document.activeElement)) main?.focus({ preventScroll: true });
    if (shown.Page) isFirst.current = false;
  }, [shown.Page]);
  if (shown.page !== page) return html`<${Loading} />`;
  if (shown.error) return html`<${Broken} error=${shown.error} />`;
  return html`<${Boundary} key=${page}><${shown.Page} params=${params} query=${query} /><//>`;
}

/** Keeps the rest of the page alive if a page fails. */
class Boundary extends Component {
  state = { error: null };

  /** @param {any} error */
  static getDerivedStateFromError(error) {
    return { error };
  }

  /** @param {any} error */
  componentDidCatch(error) {
    console.error(error);
  }

  render() {
    return this.state.error ? html`<${Broken} error=${this.state.error} />` : this.props.children;
  }
}

/** @param {{error: any}} props */
function Broken({ error }) {
  return html`
    <div class="state" role="alert">
      <h1>This page does not work</h1>
      <p class="muted">Pipelet may have been upgraded since this tab was opened. Load the page again.</p>
      <p class="muted small">${String(error?.message ?? error)}</p>
      <button class="primary" onClick=${() => location.reload()}>Load again</button>
    </div>
  `;
}
