// @ts-check
/**
 * Images of requests.
 *
 * - `Thumbnail`: `<${Thumbnail} item=${item} number=${0} />`, at most 320 pixels, served by the API; of an item without
 *   one, what is the case ("Not shown": the key may not see it)
 * - `FullImage`: an image by its signed URL, which `renew` replaces once if it has expired
 */

import { api } from "../context.js";
import { path } from "../lib/api.js";
import { hasEnded } from "../lib/requests.js";
import { html, useState } from "../../vendor/preact.js";

/** The prompt, as the description of an image. @param {any} item */
export const describe = (item) => item.input?.prompt || (item.store_input ? "An image" : "An image whose prompt is not kept");

/** The address of a thumbnail on this origin: those of the API name the public URL. @param {string} id @param {number} number */
const thumbnailUrl = (id, number) => api.url(path("requests", id, "thumbnails", number));

/** @param {{item: any, number?: number, alt?: string}} props */
export function Thumbnail({ item, number = 0, alt = describe(item) }) {
  const [isBroken, setBroken] = useState(false);
  if (!item.thumbnails?.length || isBroken) {
    const words = item.thumbnails === null ? "Not shown" : !hasEnded(item) ? "…" : item.state === "succeeded" ? "Not kept" : item.state === "failed" ? "Failed" : "No image";
    return html`<span class="thumbnail none" data-state=${item.state}>${words}</span>`;
  }
  return html`
    <img class="thumbnail" src=${thumbnailUrl(item.id, number)} alt=${alt} loading="lazy" decoding="async"
      width=${item.width} height=${item.height} onError=${() => setBroken(true)} />
  `;
}

/** @param {{image: {url: string, width: number, height: number}, alt: string, renew?: () => void} & Record<string, any>} props */
export function FullImage({ image, alt, renew, ...more }) {
  const [failed, setFailed] = useState(/** @type {string | null} */ (null));
  const onError = () => {
    if (failed === null) renew?.();
    setFailed(image.url);
  };
  return html`<img src=${image.url} alt=${alt} width=${image.width} height=${image.height} decoding="async" onError=${onError} ...${more} />`;
}
