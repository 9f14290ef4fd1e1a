// @ts-check
/** The form of an app, made from the schema of its input. */

import { NumberField, SelectField, TextField } from "../../components/fields.js";
import { useLoad, useReload, useSettled, useStore } from "../../components/hooks.js";
import { useAppState, useRequests } from "../../components/live.js";
import { lazy } from "../../components/lazy.js";
import { toast } from "../../components/toast.js";
import { api, draft } from "../../context.js";
import { faultsOf, fieldsOf, toInput, valuesOf } from "../../lib/form.js";
import { duration, plural } from "../../lib/format.js";
import { hasEnded } from "../../lib/requests.js";
import { html, useEffect, useMemo, useRef, useState } from "../../../vendor/preact.js";
import { submit } from "../request/acts.js";
import { SeedField } from "./seed-field.js";
import { SizeField } from "./size-field.js";
import { Vocabulary } from "./vocabulary.js";

const ImagesField = lazy(() => import("./images-field.js"));

const PAUSE_MS = 500;
/** The queue moves, also by the requests of others. */
const ESTIMATE_MS = 15_000;
/** Fields with a place of their own; the others follow in the order of the schema. */
const PLACED = new Set(["prompt", "image_urls", "width", "height", "batch_size", "seed"]);

/** @param {{app: any, apps: any[], onSubmitted: (detail: any) => void}} props */
export function AppForm({ app, apps, onSubmitted }) {
  const fields = useMemo(() => fieldsOf(app.input_schema), [app.input_schema]);
  const others = useMemo(() => fields.filter(({ name }) => !PLACED.has(name)).sort((a, b) => Number(a.kind === "text") - Number(b.kind === "text")), [fields]);
  const byName = useMemo(() => Object.fromEntries(fields.map((field) => [field.name, field])), [fields]);
  const typed = useStore(draft.state).values;
  const values = useMemo(() => ({ ...valuesOf(fields), ...pick(typed, byName) }), [fields, typed]);
  const { input, errors: found } = useMemo(() => toInput(fields, values), [fields, values]);
  const [refused, setRefused] = useState(/** @type {Record<string, string>} */ ({}));
  const [isTried, setTried] = useState(false);
  const [sending, setSending] = useState(0);
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  useEffect(() => {
    // Where there is a keyboard, one can type at once; on a phone, one would cover the page.
    if (matchMedia("(hover: hover)").matches) form.current?.querySelector("textarea")?.focus({ preventScroll: true });
  }, []);
  // An empty field is no fault before a submit.
  const errors = { ...(isTried ? found : onlyTyped(found, typed)), ...refused };

  const change = (/** @type {Record<string, any>} */ changed) => {
    draft.change(changed);
    setRefused(({ ...rest }) => (Object.keys(changed).forEach((name) => delete rest[name]), rest));
  };
  const focusFault = () => setTimeout(() => /** @type {any} */ (form.current?.querySelector("[aria-invalid]"))?.focus());

  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(found).length) return focusFault();
    setSending((count) => count + 1);
    try {
      onSubmitted(await submit(app.name, input));
      setTried(false);
    } catch (error) {
      const { errors: faults, other } = faultsOf(/** @type {any} */ (error), fields);
      setRefused(faults);
      if (other) toast(other, { kind: "error" });
      if (Object.keys(faults).length) focusFault();
    } finally {
      setSending((count) => count - 1);
    }
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
  };
  /** @param {string} name @param {any} [more] */
  const props = (name, more) => ({
    label: byName[name].label,
    hint: byName[name].hint,
    value: values[name],
    error: errors[name],
    onInput: (/** @type {any} */ value) => change({ [name]: value }),
    ...more,
  });
  return html`
    <form ref=${form} class="stack" onSubmit=${send} onKeyDown=${onKey} noValidate>
      ${apps.length > 1 &&
      html`<${SelectField} label="App" value=${app.name} onInput=${draft.choose} options=${apps.map(({ name, title }) => [name, title])} />`}
      <${Waiting} app=${app} />
      <${TextField} ...${props("prompt", { rows: 3, placeholder: app.example.prompt, required: true })} />
      <${Vocabulary} app=${app} onWord=${(/** @type {string} */ word) => change({ prompt: join(values.prompt, word) })} />
      ${byName.image_urls && html`<${ImagesField} ...${props("image_urls")} most=${byName.image_urls.mostItems} />`}
      <${SizeField} app=${app} fields=${byName} values=${values} errors=${errors} onChange=${change} />
      <div class="pair">
        <${NumberField} ...${props("batch_size", { min: 1, max: byName.batch_size.maximum })} />
        <${SeedField} ...${props("seed", { hint: null })} />
      </div>
      <details>
        <summary>Advanced</summary>
        <div class="advanced">${others.map((field) => html`<${Advanced} key=${field.name} field=${field} ...${props(field.name)} />`)}</div>
      </details>
      <div class="submit">
        <button class="primary wide" aria-describedby="estimate">${sending ? "Submitting…" : "Generate"}</button>
        <p class="row spread muted small"><span class="keys"><kbd>Ctrl</kbd> + <kbd>Enter</kbd></span><${Estimate} app=${app} input=${input} isValid=${!Object.keys(found).length} /></p>
      </div>
    </form>
  `;
}

/** @param {any} props */
function Advanced({ field, ...props }) {
  if (field.kind === "choice") return html`<${SelectField} ...${props} options=${field.choices.map((/** @type {string} */ each) => [each, each.toUpperCase()])} />`;
  if (field.kind === "text") return html`<${TextField} ...${props} rows=${2} class="whole" />`;
  return html`<${NumberField} ...${props} min=${field.minimum} max=${field.maximum} step=${field.kind === "integer" ? 1 : "any"} />`;
}

/** Why requests do not start at present. @param {{app: any}} props */
function Waiting({ app }) {
  const { isPaused, isServed } = useAppState(app);
  if (isServed && !isPaused) return null;
  const why = isPaused ? "This app is paused" : "No worker is ready for this app yet";
  return html`<p class="notice" data-kind="warn" role="status">${why}: requests are accepted and wait.</p>`;
}

/** How long a submit of now would take. @param {{app: any, input: any, isValid: boolean}} props */
function Estimate({ app, input, isValid }) {
  // The images do not matter for it, and may be megabytes; neither does the prompt.
  const shape = JSON.stringify({ ...input, prompt: "x", negative_prompt: undefined, ...(input.image_urls && { image_urls: ["data:,"] }) });
  const settled = useSettled(isValid ? shape : null, PAUSE_MS);
  const load = async (/** @type {AbortSignal} */ signal) =>
    settled && api.post("estimate", { app: app.name, input: JSON.parse(settled) }, { signal }).catch(() => null);
  const { data, reload } = useLoad(load, [app.name, settled]);
  useReload(reload, ESTIMATE_MS, useRequests().filter((item) => !hasEnded(item)).length);
  if (!isValid || !data) return html`<span id="estimate"></span>`;
  const parts = [data.seconds !== null && `about ${duration(data.seconds)}`, data.position > 0 && `${plural(data.position, "request")} ahead`];
  return html`<span id="estimate">${parts.filter(Boolean).join(", ")}</span>`;
}

/** What is typed of the fields that this app has. @param {any} typed @param {any} byName */
const pick = (typed, byName) => Object.fromEntries(Object.entries(typed).filter(([name]) => name in byName));

/** @param {Record<string, string>} found @param {Record<string, any>} typed */
const onlyTyped = (found, typed) => Object.fromEntries(Object.entries(found).filter(([name]) => String(typed[name] ?? "").trim() !== ""));

/** @param {string} prompt @param {string} word */
const join = (prompt, word) => (prompt.trim() ? `${prompt.trim()} ${word}` : `a ${word}`);
