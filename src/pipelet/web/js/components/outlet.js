// @ts-check
/** Shows a page that is loaded on demand, and what is the case if it cannot be. */

import { html, Component, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Loading } from "./states.js";

/** The style sheets of pages, by their address. @type {Map<string, Promise<HTMLLinkElement>>} */
const sheets = new Map();

/** @param {string} name of a file in `css/` */
function loadStyle(name) {
  const url = new URL(`../../css/${name}`, import.meta.url).href;
  const found = sheets.get(url);
  if (found) return found;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url });
  link.dataset.page = name;
  const loaded = new Promise((resolve, reject) => {
    link.onload = () => resolve(link);
    link.onerror = () => (sheets.delete(url), link.remove(), reject(new Error(`${name} cannot be loaded.`)));
  });
  sheets.set(url, loaded);
  document.head.append(link);
  return loaded;
}

/** A page and its style sheets; a screen within a page has none. @param {{load: () => Promise<any>}} page */
async function loadPage(page) {
  const { default: Page, styles } = await page.load();
  return { Page, links: styles && (await Promise.all(styles.map(loadStyle))) };
}

/** Disable the style sheets of other pages, whose classes may have the same names. @param {HTMLLinkElement[]} links */
function showStyles(links) {
  for (const { sheet } of /** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[data-page]"))) {
    if (sheet) sheet.disabled = !links.some((link) => link.sheet === sheet); // `disabled` of a link would load it again
  }
}

/**
 * @param {{page: {load: () => Promise<any>}, params?: any, query?: any, takesFocus?: boolean}} props
 *   `takesFocus`: also for the first page, because what had the focus is gone
 */
export function Outlet({ page, params = {}, query = {}, takesFocus = false }) {
  const [shown, setShown] = useState(/** @type {any} */ ({ page: null, Page: null, error: null }));
  const isFirst = useRef(!takesFocus);
  useEffect(() => {
    let isCurrent = true;
    loadPage(page).then(
      ({ Page, links }) => {
        if (!isCurrent) return;
        if (links) showStyles(links);
        setShown({ page, Page, error: null });
      },
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
