// @ts-check
/** The page: the session decides between the login and the pages, the address between these. */

import { Dialogs } from "./components/dialog.js";
import { useStore } from "./components/hooks.js";
import { Layout } from "./components/layout.js";
import { Outlet } from "./components/outlet.js";
import { Loading, Unreachable } from "./components/states.js";
import { Toasts } from "./components/toast.js";
import { session, requests, stream } from "./context.js";
import { can } from "./lib/session.js";
import { applyTheme } from "./lib/theme.js";
import { html, render, useEffect, useRef } from "../vendor/preact.js";

const LOGIN = { load: () => import("./pages/login/login.js") };
const RETRY_MS = 3_000;

function App() {
  const { status, info, error } = useStore(session.state);
  const mayGenerate = can(info, "generate");
  const hadLogin = useRef(false);
  useEffect(() => {
    if (status === "in" && mayGenerate) stream.open();
    else stream.close();
    if (status === "out") requests.clear();
    if (status !== "unreachable") return;
    const timer = setInterval(session.load, RETRY_MS);
    return () => clearInterval(timer);
  }, [status, mayGenerate]);

  if (status === "loading") return html`<main><${Loading} /></main>`;
  if (status === "unreachable") return html`<main><${Unreachable} error=${error} retry=${session.load} /></main>`;
  if (status === "out") {
    hadLogin.current = true;
    return html`<${Outlet} key="login" page=${LOGIN} />`;
  }
  return html`<${Layout} info=${info} takesFocus=${hadLogin.current} />`;
}

/** @param {string | null} code a login code that was in the address */
export function start(code) {
  applyTheme();
  addEventListener("storage", session.follow);
  addEventListener("hashchange", () => {
    // The link of `pipelet login`, pasted into the address of an open tab.
    const pasted = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
    if (!pasted) return;
    history.replaceState(null, "", location.pathname + location.search);
    session.signIn({ code: pasted });
  });
  if (code) session.signIn({ code });
  else session.load();
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  render(html`<${App} /><${Dialogs} /><${Toasts} />`, root);
}
