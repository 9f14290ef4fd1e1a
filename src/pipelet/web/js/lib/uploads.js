// @ts-check
/** Images that a person adds to a form, as URLs that a submit takes. */

const MOST_BYTES = 20 * 1024 * 1024;

/**
 * Store an image with the service.
 *
 * @param {import("./api.js").Api} api
 * @param {Blob} file
 * @param {AbortSignal} [signal]
 * @returns {Promise<string>} its URL
 */
export async function upload(api, file, signal) {
  if (file.size > MOST_BYTES) throw new Error("Images of up to 20 MiB can be used.");
  // The service decides by the bytes; the type is there because a form of another page could not send it.
  const headers = { "Content-Type": file.type.startsWith("image/") ? file.type : "image/png" };
  const { url } = await api.post("uploads", file, { signal, headers });
  return url;
}

/** The images among what was dropped or pasted. @param {DataTransfer | null} data @returns {File[]} */
export const imagesIn = (data) => [...(data?.files ?? [])].filter(({ type }) => type.startsWith("image/"));

/** The list with one entry at another place. @template T @param {T[]} list @param {number} from @param {number} to @returns {T[]} */
export function moved(list, from, to) {
  const rest = list.filter((_, k) => k !== from);
  return [...rest.slice(0, to), list[from], ...rest.slice(to)];
}
