// @ts-check
/** Sign in with a key; a link of `pipelet login` does so by itself. */

import { TextField, CheckField } from "../../components/fields.js";
import { useStore, useTitle } from "../../components/hooks.js";
import { session } from "../../context.js";
import { html, useEffect, useState } from "../../../vendor/preact.js";

/** Where a code of a link does not count any more, the API's message is followed by this. */
const NEW_LINK = "Run pipelet login on the machine of the service for a new link, or use a key.";

export default function Login() {
  const { notice, error } = useStore(session.state);
  const [key, setKey] = useState("");
  const [isShown, setShown] = useState(false);
  const [remember, setRemember] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [wait, setWait] = useState(0);
  useTitle("Sign in");
  const retryAfter = /** @type {any} */ (error)?.retryAfter ?? 0;
  useEffect(() => {
    setWait(retryAfter);
    if (!retryAfter) return;
    const timer = setInterval(() => setWait((seconds) => Math.max(seconds - 1, 0)), 1000);
    return () => clearInterval(timer);
  }, [error]);

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!key.trim()) return;
    setBusy(true);
    await session.signIn({ key: key.trim() }, remember);
    setBusy(false);
  };

  return html`
    <main class="login" id="main">
      <form onSubmit=${submit} class="card">
        <p class="brand">Pipelet</p>
        <h1>Sign in</h1>
        ${notice && html`<p class="notice" role="status">${notice}</p>`}
        <div class="joined">
          <${TextField} label="API key" type=${isShown ? "text" : "password"} value=${key} onInput=${setKey}
            autocomplete="current-password" spellcheck=${false} autofocus required placeholder="pipelet_…"
            error=${error && `${error.message} ${/code/i.test(error.message) ? NEW_LINK : ""}`} />
          <button type="button" aria-pressed=${isShown} onClick=${() => setShown(!isShown)}>${isShown ? "Hide" : "Show"}</button>
        </div>
        <${CheckField} label="Remember me on this device for 30 days" value=${remember} onInput=${setRemember} />
        <button class="primary wide" disabled=${isBusy || wait > 0}>${wait > 0 ? `Wait ${wait} s` : isBusy ? "Signing in…" : "Sign in"}</button>
        <details>
          <summary>No key?</summary>
          <p class="muted">On the machine of the service, <code>pipelet login</code> prints a link that opens this page signed in. The operator creates keys for others: <code>pipelet keys create ada --user ada</code></p>
        </details>
      </form>
    </main>
  `;
}
