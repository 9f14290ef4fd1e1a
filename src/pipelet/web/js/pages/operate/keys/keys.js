// @ts-check
/** API keys: who has which, what they use, and new ones. */

import { CheckField, TextField } from "../../../components/fields.js";
import { useLoad, useNow } from "../../../components/hooks.js";
import { Empty, Failure, Loading } from "../../../components/states.js";
import { Table } from "../../../components/table.js";
import { api } from "../../../context.js";
import { ago, dateTime, number } from "../../../lib/format.js";
import { limitsInWords } from "../../../lib/operate/accounts.js";
import { href } from "../../../lib/router.js";
import { html, useState } from "../../../../vendor/preact.js";
import { columnIf, usePages, useScope } from "../live.js";
import { FindKey, NewKey, Secret } from "./forms.js";

const LIMIT = 100;
/** @type {Record<string, string>} */
export const SIGNS = { valid: "good", expired: "warn", revoked: "bad" };

export default function Keys() {
  const list = usePages("operate/keys", { limit: LIMIT });
  const [dialog, setDialog] = useState("");
  const [secret, setSecret] = useState(/** @type {any} */ (null));
  const close = () => setDialog("");
  const onCreated = (/** @type {any} */ key) => {
    close();
    setSecret(key);
    list.reload();
  };
  return html`
    <div class="page-head">
      <h1>Keys</h1>
      <div class="actions">
        <button onClick=${() => setDialog("find")}>Find a key…</button>
        <button class="primary" onClick=${() => setDialog("new")}>New key…</button>
      </div>
    </div>
    ${list.error && !list.items ? html`<${Failure} error=${list.error} retry=${list.reload} />` : !list.items ? html`<${Loading} />` : html`<${Rows} list=${list} />`}
    ${dialog === "new" && html`<${NewKey} onClose=${close} onCreated=${onCreated} />`}
    ${dialog === "find" && html`<${FindKey} onClose=${close} />`}
    ${secret && html`<${Secret} created=${secret} onClose=${() => setSecret(null)} />`}
  `;
}

/** @param {{list: any}} props */
function Rows({ list }) {
  const [text, setText] = useState("");
  const [isAll, setAll] = useState(false);
  const seesUsage = useScope("observe");
  const usage = useLoad((signal) => (seesUsage ? api.get("usage", { query: { by: "key" }, signal }) : Promise.resolve(null)), [seesUsage]);
  const now = useNow();
  const wanted = text.trim().toLowerCase();
  const rows = list.items.filter((/** @type {any} */ key) => (isAll || key.state === "valid") && (!wanted || `${key.name} ${key.user} ${key.id}`.toLowerCase().includes(wanted)));
  const images = new Map((usage.data?.items ?? []).map((/** @type {any} */ item) => [item.key_id, item.images]));
  return html`
    <div class="stack">
      <div class="filters">
        <${TextField} label="Name, user or id" value=${text} onInput=${setText} spellcheck=${false} />
        <${CheckField} label="Also revoked and expired ones" value=${isAll} onInput=${setAll} />
      </div>
      ${rows.length
        ? html`<${Table} caption="Keys" isCaptionHidden rows=${rows} rowKey=${(/** @type {any} */ key) => key.id} columns=${columns(now, seesUsage && usage.data ? images : null)} />`
        : html`<${Empty} title=${list.isEnd ? "No key matches" : "None among these"}>${isAll ? "" : "Revoked and expired ones are not shown."}<//>`}
      ${!list.isEnd && html`<div><button disabled=${list.isBusy} onClick=${list.more}>Older keys</button></div>`}
    </div>
  `;
}

/** @param {number} now @param {Map<any, any> | null} images @returns {import("../live.js").Column[]} */
const columns = (now, images) => [
  { label: "Name", cell: (key) => html`<a href=${href("operate", "keys", key.id)}>${key.name}</a>`, isHeader: true },
  { label: "User", cell: (key) => key.user },
  { label: "State", cell: (key) => html`<span class="badge" data-state=${SIGNS[key.state]}>${key.state}</span>` },
  { label: "Scopes", cell: (key) => html`<span class="small wrapped">${key.scopes.join(", ")}</span>` },
  { label: "Own limits", cell: (key) => html`<span class="small">${limitsInWords(key)}</span>` },
  ...columnIf(images !== null, { label: "Images in 30 days", cell: (key) => number(images?.get(key.id) ?? 0), align: "end" }),
  { label: "Last used", cell: (key) => html`<time title=${dateTime(key.last_used_at)}>${key.last_used_at ? ago(key.last_used_at, now) : "never"}</time>` },
  { label: "Expires", cell: (key) => (key.expires_at ? dateTime(key.expires_at) : "never") },
];
