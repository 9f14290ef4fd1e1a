// @ts-check
/** Input images: dropped, pasted, chosen, or taken from a result; in an order that matters. */

import { announce, toast } from "../../components/toast.js";
import { api } from "../../context.js";
import { imagesIn, moved, upload } from "../../lib/uploads.js";
import { html, useEffect, useId, useRef, useState } from "../../../vendor/preact.js";

/** @param {{label: string, value: string[], onInput: (urls: string[]) => void, error?: string, most: number}} props */
export default function ImagesField({ label, value: urls, onInput, error, most }) {
  const id = useId();
  const [uploading, setUploading] = useState(0);
  const [isOver, setOver] = useState(false);
  const list = useRef(/** @type {HTMLOListElement | null} */ (null));
  const latest = useRef(urls);
  latest.current = urls;
  const set = (/** @type {string[]} */ next) => onInput((latest.current = next));

  const add = async (/** @type {File[]} */ files) => {
    // One more than there is room for takes the place of the last.
    for (const file of files.slice(0, most)) {
      setUploading((count) => count + 1);
      try {
        const url = await upload(api, file);
        set([...latest.current.slice(0, most - 1), url]);
        announce("The image was added.");
      } catch (failure) {
        toast(`${file.name}: ${/** @type {Error} */ (failure).message}`, { kind: "error" });
      } finally {
        setUploading((count) => count - 1);
      }
    }
    if (files.length > most) toast(`This app takes at most ${most} ${most === 1 ? "image" : "images"}.`);
  };
  useEffect(() => {
    const onPaste = (/** @type {ClipboardEvent} */ event) => {
      const files = imagesIn(event.clipboardData);
      if (!files.length) return;
      event.preventDefault();
      add(files);
    };
    addEventListener("paste", onPaste);
    return () => removeEventListener("paste", onPaste);
  }, [most]);

  const move = (/** @type {number} */ from, /** @type {number} */ to) => {
    if (to < 0 || to >= urls.length) return;
    set(moved(urls, from, to));
    announce(`Image ${from + 1} is now image ${to + 1}.`);
    setTimeout(() => /** @type {HTMLElement} */ (list.current?.children[to])?.focus());
  };
  const remove = (/** @type {number} */ k) => set(urls.filter((_, at) => at !== k));
  const onKey = (/** @type {KeyboardEvent} */ event, /** @type {number} */ k) => {
    if (event.key === "ArrowLeft") move(k, k - 1);
    else if (event.key === "ArrowRight") move(k, k + 1);
    else if (event.key === "Delete") remove(k);
    else return;
    event.preventDefault();
  };
  const onDrop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(false);
    const from = Number(event.dataTransfer?.getData("text/pipelet-image") || NaN);
    const to = [...(list.current?.children ?? [])].indexOf(/** @type {Element} */ (event.target).closest("li") ?? document.body);
    if (!Number.isNaN(from)) move(from, to);
    else add(imagesIn(event.dataTransfer));
  };
  return html`
    <div class="field" onDragOver=${(/** @type {Event} */ event) => (event.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)} onDrop=${onDrop}>
      <span class="label" id=${id}>${label}</span>
      ${urls.length > 0 &&
      html`<ol class="inputs" ref=${list} aria-labelledby=${id}>
        ${urls.map(
          (url, k) => html`
            <li key=${url} tabindex="0" draggable=${urls.length > 1} aria-label=${`Image ${k + 1} of ${urls.length}`}
              aria-description=${urls.length > 1 ? "Arrow keys move it, Delete removes it" : "Delete removes it"}
              onKeyDown=${(/** @type {KeyboardEvent} */ event) => onKey(event, k)}
              onDragStart=${(/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/pipelet-image", String(k))}>
              <img src=${url} alt="" />
              ${urls.length > 1 && html`<span class="number">${k + 1}</span>`}
              <button type="button" class="small" aria-label=${`Remove image ${k + 1}`} onClick=${() => remove(k)}>✕</button>
            </li>
          `,
        )}
      </ol>`}
      <label class="drop" data-over=${isOver || null} data-invalid=${error ? "true" : null}>
        <input type="file" accept="image/*" multiple=${most > 1} class="unseen" aria-invalid=${error ? "true" : undefined} aria-describedby=${`${id}-about`}
          onChange=${(/** @type {any} */ event) => (add([...event.currentTarget.files]), (event.currentTarget.value = ""))} />
        <span>${uploading ? "Adding…" : urls.length >= most ? "Replace: choose, drop or paste" : "Choose, drop or paste an image"}</span>
      </label>
      <p class=${error ? "error" : "unseen"} id=${`${id}-about`}>${error ?? `Up to ${most}`}</p>
    </div>
  `;
}
