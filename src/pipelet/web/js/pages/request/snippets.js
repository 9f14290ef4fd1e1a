// @ts-check
/** The call of a request as code, in a dialog. */

import { CopyButton } from "../../components/copy.js";
import { Dialog } from "../../components/dialog.js";
import { SNIPPETS } from "../../lib/snippets.js";
import { html, useState } from "../../../vendor/preact.js";

/** The address of the service: that of the page without `ui/`. */
const BASE = new URL("..", location.href.split("#")[0]).href.replace(/\/$/, "");

/** @param {{app: string, input: any, onClose: () => void}} props */
export default function Snippets({ app, input, onClose }) {
  const [chosen, setChosen] = useState(0);
  const text = SNIPPETS[chosen].write({ base: BASE, app, input });
  return html`
    <${Dialog} title="This request as code" size="wide" onClose=${onClose}>
      <div class="row spread">
        <div class="actions" role="group" aria-label="Language">
          ${SNIPPETS.map(({ name }, k) => html`<button key=${name} class="small" aria-pressed=${k === chosen} onClick=${() => setChosen(k)}>${name}</button>`)}
        </div>
        <${CopyButton} text=${text} label=${`Copy ${SNIPPETS[chosen].name}`} class="small primary" />
      </div>
      <pre tabindex="0" aria-label=${SNIPPETS[chosen].name}><code>${text}</code></pre>
      <p class="muted small">It reads your key from the environment: <code>export PIPELET_API_KEY=…</code>. The user local has it in the file <code>local-key</code> of the service; others got it from the operator.</p>
      <div class="actions end"><button onClick=${onClose}>Close</button></div>
    <//>
  `;
}
