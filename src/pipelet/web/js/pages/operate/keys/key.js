// @ts-check
/** One key: what it may do, its limits and those of its user, and what it has used. */

import { useLoad, useNow } from "../../../components/hooks.js";
import { TextField } from "../../../components/fields.js";
import { Failure, Loading } from "../../../components/states.js";
import { Table } from "../../../components/table.js";
import { api } from "../../../context.js";
import { path } from "../../../lib/api.js";
import { ago, bytes, dateTime, number, plural } from "../../../lib/format.js";
import { KEY_LIMITS, USER_LIMITS, imagesByDay, lastDays, readLimits, toForm } from "../../../lib/operate/accounts.js";
import { href } from "../../../lib/router.js";
import { html, useState } from "../../../../vendor/preact.js";
import { act, useScope } from "../live.js";
import { FormDialog, LimitFields, RevokeKey, RotateKey, ScopeFields, Secret, refuse } from "./forms.js";
import { SIGNS } from "./keys.js";

/** @param {{params: {id: string}}} props */
export default function Key({ params: { id } }) {
  const { data: key, error, reload } = useLoad((signal) => api.get(path("operate", "keys", id), { signal }), [id]);
  const [dialog, setDialog] = useState("");
  const [secret, setSecret] = useState(/** @type {any} */ (null));
  const observes = useScope("observe");
  // How many of its requests wait is said before it is revoked.
  const waiting = useLoad((signal) => (observes && dialog === "revoke" ? api.get("requests/count", { query: { user: key?.user, key: id, state: "queued" }, signal }) : Promise.resolve(null)), [id, dialog]);
  if (error && !key) return html`<${Failure} error=${error} retry=${reload} title=${error.status === 404 ? "There is no such key" : undefined} />`;
  if (!key) return html`<${Loading} />`;
  const close = () => setDialog("");
  const onRotated = (/** @type {any} */ rotated) => {
    close();
    setSecret(rotated);
    reload();
  };
  return html`
    <div class="page-head">
      <div><a class="small" href=${href("operate", "keys")}>← All keys</a><h1>${key.name}</h1></div>
      ${key.state !== "revoked" &&
      html`<div class="actions">
        <button onClick=${() => setDialog("change")}>Change…</button>
        <button onClick=${() => setDialog("rotate")}>Rotate…</button>
        <button class="danger" onClick=${() => setDialog("revoke")}>Revoke…</button>
      </div>`}
    </div>
    <div class="halves">
      <${Facts} item=${key} />
      <${LimitsOfUser} user=${key.user} />
    </div>
    ${observes && html`<${Usage} item=${key} />`}
    ${dialog === "change" && html`<${ChangeKey} item=${key} onClose=${close} onChanged=${reload} />`}
    ${dialog === "rotate" && html`<${RotateKey} item=${key} onClose=${close} onRotated=${onRotated} />`}
    ${dialog === "revoke" && html`<${RevokeKey} item=${key} waiting=${waiting.data?.count ?? null} onClose=${close} onRevoked=${reload} />`}
    ${secret && html`<${Secret} created=${secret} onClose=${() => setSecret(null)} />`}
  `;
}

/** @param {{item: any}} props */
function Facts({ item: key }) {
  const now = useNow();
  return html`
    <section class="card stack">
      <h2>Key <code>${key.id}</code></h2>
      <dl class="facts">
        <dt>State</dt><dd><span class="badge" data-state=${SIGNS[key.state]}>${key.state}</span> ${key.revoked_at && dateTime(key.revoked_at)}</dd>
        <dt>User</dt><dd><a href=${href("operate", "requests", { user: key.user })}>${key.user}</a></dd>
        <dt>Scopes</dt><dd>${key.scopes.join(", ")}</dd>
        <dt>Created</dt><dd>${dateTime(key.created_at)}</dd>
        <dt>Last used</dt><dd>${key.last_used_at ? ago(key.last_used_at, now) : "never"}</dd>
        <dt>Expires</dt><dd>${key.expires_at ? dateTime(key.expires_at) : "never"}</dd>
        ${KEY_LIMITS.map(({ name, label }) => html`<dt>${label}</dt><dd>${key[name] === null ? "no limit of its own" : number(key[name])}</dd>`)}
      </dl>
      <p><a href=${href("operate", "requests", { key: key.id })}>Its requests</a></p>
    </section>
  `;
}

/** @type {Record<string, (used: any) => string>} What is used of a limit. */
const USED = {
  max_queued_images: (used) => `${number(used.queued_images)} now`,
  max_running_images: (used) => `${number(used.running_images)} now`,
  max_stored_bytes: (used) => `${bytes(used.stored_bytes)} now`,
};

/** @param {{user: string}} props */
function LimitsOfUser({ user }) {
  const { data, error, reload } = useLoad((signal) => api.get(path("operate", "users", user, "limits"), { signal }), [user]);
  const [isOpen, setOpen] = useState(false);
  const body = error && !data ? html`<${Failure} error=${error} retry=${reload} />` : !data ? html`<${Loading} />` : html`<${UserFacts} data=${data} />`;
  return html`
    <section class="card stack">
      <div class="row spread"><h2>Limits of the user ${user}</h2>${data && html`<button class="small" onClick=${() => setOpen(true)}>Change…</button>`}</div>
      <p class="muted small">All keys of the user share them.</p>
      ${body}
      ${isOpen && html`<${ChangeUser} data=${data} onClose=${() => setOpen(false)} onChanged=${reload} />`}
    </section>
  `;
}

/** @param {{data: any}} props */
function UserFacts({ data: { limits, used } }) {
  return html`
    <dl class="facts">
      ${USER_LIMITS.map(({ name, label, unit = 1 }) => {
        const value = limits[name];
        const words = value === null ? "no limit" : number(Math.round((100 * value) / unit) / 100);
        return html`<dt>${label}</dt><dd>${words}${value !== null && used && USED[name] && html` <span class="muted">(${USED[name](used)})</span>`}</dd>`;
      })}
    </dl>
  `;
}

/** @param {{data: any, onClose: () => void, onChanged: () => void}} props */
function ChangeUser({ data: { user, limits }, onClose, onChanged }) {
  const [form, setForm] = useState(() => toForm(USER_LIMITS, limits));
  const send = async () => {
    const { changes, errors } = readLimits(USER_LIMITS, form, limits);
    if (Object.keys(errors).length) throw refuse(errors);
    await api.patch(path("operate", "users", user, "limits"), changes);
    onChanged();
    onClose();
  };
  return html`
    <${FormDialog} title=${`Limits of the user ${user}`} confirm="Change" onClose=${onClose} send=${send}>
      ${(/** @type {any} */ errors) => html`
        <p class="muted">They hold for all keys of the user, from two seconds after the change. What waits or is stored already stays.</p>
        <${LimitFields} fields=${USER_LIMITS} value=${form} onInput=${setForm} errors=${errors} />
      `}
    <//>
  `;
}

/** @param {{item: any, onClose: () => void, onChanged: () => void}} props */
function ChangeKey({ item, onClose, onChanged }) {
  const [name, setName] = useState(item.name);
  const [scopes, setScopes] = useState(() => new Set(item.scopes));
  const [ends, setEnds] = useState(item.expires_at ? item.expires_at.slice(0, 10) : "");
  const [form, setForm] = useState(() => toForm(KEY_LIMITS, item));
  const send = async () => {
    const { changes, errors } = readLimits(KEY_LIMITS, form, item);
    if (!scopes.size) errors.scopes = "Choose at least one.";
    if (Object.keys(errors).length) throw refuse(errors);
    /** @type {Record<string, any>} */
    const body = { ...changes };
    if (name.trim() !== item.name) body.name = name.trim();
    if ([...scopes].sort().join() !== [...item.scopes].sort().join()) body.scopes = [...scopes];
    if (ends !== (item.expires_at ?? "").slice(0, 10)) body.expires_at = ends ? `${ends}T00:00:00Z` : null;
    if (await act(() => api.patch(path("operate", "keys", item.id), body), "The key is changed.")) onChanged();
    onClose();
  };
  return html`
    <${FormDialog} title=${`Change ${item.name}`} confirm="Change" onClose=${onClose} send=${send}>
      ${(/** @type {any} */ errors) => html`
        <p class="muted">Services follow within two seconds; sessions with this key lose scopes, too.</p>
        <${TextField} label="Name" value=${name} onInput=${setName} error=${errors.name} required maxlength="200" />
        <${ScopeFields} value=${scopes} onInput=${setScopes} error=${errors.scopes} />
        <${TextField} type="date" label="Expires at the begin of (UTC)" hint="Empty: never" value=${ends} onInput=${setEnds} error=${errors.expires_at} />
        <${LimitFields} fields=${KEY_LIMITS} value=${form} onInput=${setForm} errors=${errors} />
      `}
    <//>
  `;
}

/** @param {{item: any}} props */
function Usage({ item }) {
  const days = lastDays(Date.now());
  const { data, error, reload } = useLoad((signal) => api.get("usage", { query: { from: days[0], to: days.at(-1), by: "day,key", user: item.user }, signal }), [item.id]);
  if (error && !data) return html`<${Failure} error=${error} retry=${reload} />`;
  if (!data) return html`<${Loading} />`;
  const counts = imagesByDay(data.items, item.id, days);
  const rows = data.items.filter((/** @type {any} */ row) => row.key_id === item.id).sort((/** @type {any} */ a, /** @type {any} */ b) => (a.day < b.day ? 1 : -1));
  const sum = counts.reduce((all, count) => all + count, 0);
  /** @type {import("../live.js").Column[]} */
  const columns = [
    { label: "Day (UTC)", cell: (row) => row.day, isHeader: true },
    { label: "Requests", cell: (row) => number(row.requests), align: "end" },
    { label: "Images", cell: (row) => number(row.images), align: "end" },
    { label: "Device seconds", cell: (row) => number(Math.round(row.device_seconds)), align: "end" },
    { label: "Failed", cell: (row) => number(row.failed), align: "end" },
    { label: "Cancelled", cell: (row) => number(row.cancelled), align: "end" },
  ];
  return html`
    <section class="card stack usage">
      <h2>Usage of 30 days: ${plural(sum, "image")}</h2>
      ${sum > 0 && html`<${Spark} counts=${counts} />`}
      ${rows.length ? html`<details><summary class="small">Show as table</summary><${Table} caption="Usage by day" isCaptionHidden columns=${columns} rows=${rows} rowKey=${(/** @type {any} */ row) => row.day} /></details>` : html`<p class="muted">It has generated nothing in this time.</p>`}
    </section>
  `;
}

/** Bars, one for each day; the table says the same. @param {{counts: number[]}} props */
function Spark({ counts }) {
  const most = Math.max(...counts, 1);
  return html`
    <svg class="spark" viewBox=${`0 0 ${counts.length * 4} 20`} preserveAspectRatio="none" aria-hidden="true">
      ${counts.map((count, k) => html`<rect key=${k} x=${4 * k + 0.5} width="3" y=${20 - Math.max((19 * count) / most, count ? 1 : 0.25)} height="20" />`)}
    </svg>
  `;
}
