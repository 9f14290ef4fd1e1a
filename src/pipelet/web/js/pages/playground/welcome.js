// @ts-check
/** What a new user sees in place of requests. */

import { draft } from "../../context.js";
import { html } from "../../../vendor/preact.js";

/** @param {{app: any}} props */
export function Welcome({ app }) {
  const use = () => {
    const { prompt, image_urls } = app.example;
    draft.change(image_urls ? { prompt, image_urls } : { prompt });
    document.querySelector("textarea")?.focus(); // from there, Ctrl+Enter submits
  };
  return html`
    <div class="state welcome">
      <h2>Your images appear here</h2>
      <p class="muted">Describe one and press Generate. You can leave this page at any time: requests are kept, and wait for you in the history.</p>
      ${app.example.prompt && html`<button onClick=${use}>Try “${app.example.prompt}”</button>`}
    </div>
  `;
}
