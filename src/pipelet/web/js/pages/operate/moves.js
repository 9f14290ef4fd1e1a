// @ts-check
/** The place of a request in the queue: to the front, and another priority. */

import { Dialog, ask } from "../../components/dialog.js";
import { NumberField } from "../../components/fields.js";
import { api } from "../../context.js";
import { path } from "../../lib/api.js";
import { number, plural, shortId } from "../../lib/format.js";
import { html, useState } from "../../../vendor/preact.js";
import { act } from "./live.js";

/** @param {any} item @returns {Promise<boolean>} whether it was moved */
export async function moveToFront(item) {
  const text = `It is a request of ${item.user}. It starts before ${plural(item.position, "other request")} of every priority, and its log says so.`;
  if (!(await ask({ title: `Move ${shortId(item.id)} to the front?`, text, confirm: "Move to the front" }))) return false;
  return act(() => api.post(path("operate", "requests", item.id, "front")), `${shortId(item.id)} is next.`);
}

/** @param {{item: any, onClose: () => void, onDone: () => void}} props */
export function PriorityDialog({ item, onClose, onDone }) {
  const [text, setText] = useState(String(item.priority));
  const value = text.trim() === "" ? NaN : Number(text);
  const isWrong = !Number.isInteger(value) || Math.abs(value) > 2 ** 31 - 1;
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isWrong) return;
    const isDone = await act(
      () => api.patch(path("operate", "requests", item.id), { priority: value }),
      `${shortId(item.id)} has priority ${number(value)}.`,
    );
    if (isDone) onDone();
    onClose();
  };
  return html`
    <${Dialog} title=${`Priority of ${shortId(item.id)}`} onClose=${onClose}>
      <form class="stack" onSubmit=${submit}>
        <p class="muted">It is a request of ${item.user}. With another priority it takes a turn there, as if it had just been submitted. The ceiling of the key does not count.</p>
        <${NumberField} label="Priority" value=${text} onInput=${setText} step=${1} hint="Larger starts sooner; 0 is usual" error=${isWrong && "Give a whole number."} />
        <div class="actions end">
          <button type="button" onClick=${onClose}>Back</button>
          <button class="primary" disabled=${isWrong || value === item.priority}>Change</button>
        </div>
      </form>
    <//>
  `;
}
