// @ts-check
/** Dialogs of keys: a new one, its secret, which one a text is, rotation and revocation. */

import { CopyButton } from "../../../components/copy.js";
import { Dialog } from "../../../components/dialog.js";
import { CheckField, NumberField, SelectField, TextField } from "../../../components/fields.js";
import { toast } from "../../../components/toast.js";
import { api } from "../../../context.js";
import { path } from "../../../lib/api.js";
import { dateTime, plural } from "../../../lib/format.js";
import { KEY_LIMITS, SCOPES, readLimits } from "../../../lib/operate/accounts.js";
import { href, navigate } from "../../../lib/router.js";
import { html, useState } from "../../../../vendor/preact.js";

/** @type {[string, string][]} */
const LIFETIMES = [["", "Never"], ["7", "In 7 days"], ["30", "In 30 days"], ["90", "In 90 days"], ["365", "In a year"]];

/** What is wrong with the fields of a form, from a response of the API. @param {any} error @returns {Record<string, string>} */
function errorsOf(error) {
  if (!Array.isArray(error.detail)) return { form: error.message };
  return Object.fromEntries(error.detail.map((/** @type {any} */ each) => [each.loc[1] ?? "form", each.msg]));
}

/** A form in a dialog, which sends once. @param {any} props */
export function FormDialog({ title, confirm, isDangerous = false, onClose, send, children }) {
  const [errors, setErrors] = useState(/** @type {Record<string, string>} */ ({}));
  const [isBusy, setBusy] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setErrors({});
    try {
      await send();
    } catch (error) {
      setErrors(/** @type {any} */ (error).fields ?? errorsOf(error));
      setBusy(false);
    }
  };
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        ${errors.form && html`<p class="notice" data-kind="error" role="alert">${errors.form}</p>`}
        ${children(errors)}
        <div class="actions end">
          <button type="button" onClick=${onClose}>Back</button>
          <button class=${isDangerous ? "danger" : "primary"} disabled=${isBusy}>${isBusy ? "One moment…" : confirm}</button>
        </div>
      </form>
    <//>
  `;
}

/** Refuse what the page itself finds wrong. @param {Record<string, string>} fields */
export const refuse = (fields) => Object.assign(new Error("The form has errors."), { fields });

/** @param {{value: Set<string>, onInput: (scopes: Set<string>) => void, error?: string}} props */
export function ScopeFields({ value, onInput, error }) {
  const toggle = (/** @type {string} */ scope) => {
    const next = new Set(value);
    if (!next.delete(scope)) next.add(scope);
    onInput(next);
  };
  return html`
    <fieldset class="stack tight">
      <legend class="label">Scopes</legend>
      ${error && html`<p class="error-text">${error}</p>`}
      ${SCOPES.map(([scope, words]) => html`<${CheckField} key=${scope} label=${scope} hint=${words} value=${value.has(scope)} onInput=${() => toggle(scope)} />`)}
    </fieldset>
  `;
}

/** @param {{fields: import("../../../lib/operate/accounts.js").LimitField[], value: Record<string, string>, onInput: (value: any) => void, errors: Record<string, string>}} props */
export function LimitFields({ fields, value, onInput, errors }) {
  return html`
    <div class="limits">
      ${fields.map(
        ({ name, label, hint, isWhole = true }) =>
          html`<${NumberField} key=${name} label=${label} hint=${hint} step=${isWhole ? 1 : "any"} placeholder="no limit" value=${value[name]} error=${errors[name]}
            onInput=${(/** @type {string} */ text) => onInput({ ...value, [name]: text })} />`,
      )}
    </div>
  `;
}

/** @param {{onClose: () => void, onCreated: (key: any) => void}} props */
export function NewKey({ onClose, onCreated }) {
  const [name, setName] = useState("");
  const [user, setUser] = useState("");
  const [scopes, setScopes] = useState(() => new Set(["generate"]));
  const [days, setDays] = useState("");
  const [limits, setLimits] = useState(/** @type {Record<string, string>} */ ({ max_priority: "", max_queued_images: "", max_running_images: "" }));
  const send = async () => {
    const { changes, errors } = readLimits(KEY_LIMITS, limits, {});
    if (!name.trim()) errors.name = "Give a name.";
    if (!scopes.size) errors.scopes = "Choose at least one.";
    if (Object.keys(errors).length) throw refuse(errors);
    const ends = days ? new Date(Date.now() + 86_400_000 * Number(days)).toISOString() : null;
    onCreated(await api.post("operate/keys", { name: name.trim(), user: user.trim() || null, scopes: [...scopes], expires_at: ends, ...changes }));
  };
  return html`
    <${FormDialog} title="New key" confirm="Create the key" onClose=${onClose} send=${send}>
      ${(/** @type {any} */ errors) => html`
        <${TextField} label="Name" value=${name} onInput=${setName} error=${errors.name} required maxlength="200" hint="Shown in lists" />
        <${TextField} label="User" value=${user} onInput=${setUser} error=${errors.user} maxlength="200" hint="Empty: a new user of that name. An existing one shares its requests with this key." />
        <${ScopeFields} value=${scopes} onInput=${setScopes} error=${errors.scopes} />
        <${SelectField} label="Expires" value=${days} onInput=${setDays} options=${LIFETIMES} error=${errors.expires_at} />
        <details>
          <summary>Limits of this key</summary>
          <p class="muted small">Those of the user count, too.</p>
          <${LimitFields} fields=${KEY_LIMITS} value=${limits} onInput=${setLimits} errors=${errors} />
        </details>
      `}
    <//>
  `;
}

/** The secret of a key, once. A click next to it does not close it. @param {{created: any, onClose: () => void}} props */
export function Secret({ created, onClose }) {
  const until = created.old_works_until;
  return html`
    <${Dialog} title=${`Key of ${created.user}`} onClose=${() => {}}>
      <p>Copy the key now: it is not shown again, and stored nowhere.${until ? ` The old one works until ${dateTime(until)}.` : ""}</p>
      <div class="secret">
        <code tabindex="0" aria-label="Key">${created.key}</code>
        <${CopyButton} text=${created.key} label="Copy the key" class="primary" />
      </div>
      <div class="actions end"><button onClick=${onClose}>I have copied it</button></div>
    <//>
  `;
}

/** @param {{onClose: () => void}} props */
export function FindKey({ onClose }) {
  const [text, setText] = useState("");
  const send = async () => {
    const found = await api.post("operate/keys/find", { key: text.trim() });
    onClose();
    navigate(href("operate", "keys", found.id));
  };
  return html`
    <${FormDialog} title="Find a key by its text" confirm="Find" onClose=${onClose} send=${send}>
      ${(/** @type {any} */ errors) => html`
        <p class="muted">Such as one from a log or a chat. Revoked ones are found, too, and those whose rotated secret still works.</p>
        <${TextField} label="The key" value=${text} onInput=${setText} error=${errors.key} required spellcheck=${false} autocomplete="off" placeholder="pipelet_…" />
      `}
    <//>
  `;
}

/** @param {{item: any, onClose: () => void, onRotated: (key: any) => void}} props */
export function RotateKey({ item, onClose, onRotated }) {
  const [hours, setHours] = useState("24");
  const send = async () => {
    const value = Number(hours);
    if (hours.trim() === "" || Number.isNaN(value) || value < 0) throw refuse({ overlap_hours: "Give a number of hours." });
    onRotated(await api.post(path("operate", "keys", item.id, "rotate"), { overlap_hours: value }));
  };
  return html`
    <${FormDialog} title=${`Rotate ${item.name}?`} confirm="Rotate" isDangerous onClose=${onClose} send=${send}>
      ${(/** @type {any} */ errors) => html`
        <p class="muted">The key gets a new secret. Programs with the old one are refused when the time below is over; id, scopes, limits and requests stay.</p>
        <${NumberField} label="Hours for which the old secret works" value=${hours} onInput=${setHours} step="any" min="0" error=${errors.overlap_hours} />
      `}
    <//>
  `;
}

/** @param {{item: any, waiting: number | null, onClose: () => void, onRevoked: () => void}} props `waiting`: its requests that wait */
export function RevokeKey({ item, waiting, onClose, onRevoked }) {
  const [cancel, setCancel] = useState(false);
  const send = async () => {
    const { cancelled } = await api.delete(path("operate", "keys", item.id), { query: { cancel: cancel || null } });
    toast(cancelled ? `${item.name} is revoked, and ${plural(cancelled, "request")} cancelled.` : `${item.name} is revoked.`);
    onRevoked();
    onClose();
  };
  const words = waiting === null ? "Its requests that wait" : waiting === 0 ? "None of its requests waits" : `${plural(waiting, "request")} of it wait${waiting === 1 ? "s" : ""}`;
  return html`
    <${FormDialog} title=${`Revoke ${item.name}?`} confirm="Revoke for good" isDangerous onClose=${onClose} send=${send}>
      ${() => html`
        <p class="muted">Every program and browser with this key of ${item.user} is refused within two seconds. This cannot be taken back. ${words}${waiting === null ? " are still generated" : waiting ? ", and will be generated" : ""}.</p>
        ${waiting !== 0 && html`<${CheckField} label="Cancel its waiting requests, too" value=${cancel} onInput=${setCancel} />`}
      `}
    <//>
  `;
}
