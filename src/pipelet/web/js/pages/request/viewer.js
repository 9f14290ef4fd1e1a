// @ts-check
/** An image as large as the window: arrows show the others, Esc closes. */

import { FullImage } from "../../components/images.js";
import { html, useEffect, useRef } from "../../../vendor/preact.js";

/** @param {{images: any[], index: number, alt: string, onIndex: (index: number) => void, onClose: () => void, renew: () => void}} props */
export default function Viewer({ images, index, alt, onIndex, onClose, renew }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const opener = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.current?.showModal();
    return () => opener?.isConnected && opener.focus();
  }, []);
  const image = images[index];
  const step = (/** @type {number} */ by) => onIndex((index + by + images.length) % images.length);
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
  };
  const close = (/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
  };
  return html`
    <dialog ref=${dialog} class="viewer" aria-label="Image viewer" onCancel=${close} onClose=${close} onKeyDown=${onKey}>
      <div class="viewer-bar">
        <span role="status">${images.length > 1 ? `Image ${index + 1} of ${images.length}` : "Image"} · ${image.width} × ${image.height} · seed ${image.seed}</span>
        <span class="actions">
          <a class="button small" href=${image.url} download=${image.file_name} target="_blank" rel="noopener">Download</a>
          <button class="small" onClick=${onClose}>Close</button>
        </span>
      </div>
      <div class="viewer-image">
        ${images.length > 1 && html`<button class="step" aria-label="Previous image" onClick=${() => step(-1)}>‹</button>`}
        <${FullImage} key=${image.file_name} image=${image} alt=${alt} renew=${renew} />
        ${images.length > 1 && html`<button class="step" aria-label="Next image" onClick=${() => step(1)}>›</button>`}
      </div>
    </dialog>
  `;
}
