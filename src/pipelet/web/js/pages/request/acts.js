// @ts-check
/** What people do to a request. If one fails, its error is shown, and the result is null. */

import { ask } from "../../components/dialog.js";
import { toast, orToast } from "../../components/toast.js";
import { api, draft, requests } from "../../context.js";
import { path } from "../../lib/api.js";
import { inputOf, randomSeed } from "../../lib/form.js";
import { navigate } from "../../lib/router.js";

/** Submit; the stream tells the rest. @param {string} app @param {any} input */
export async function submit(app, input) {
  const detail = await api.post("requests", { app, input });
  requests.put(detail);
  return detail;
}

/** The same request once more. @param {any} detail @param {any} app */
export const again = (detail, app) => orToast(submit(detail.app, inputOf(detail, app)));

/** The same request with another seed. @param {any} detail @param {any} app */
export const vary = (detail, app) => orToast(submit(detail.app, { ...inputOf(detail, app), seed: randomSeed() }));

/** The same request in the form. @param {any} detail */
export function edit(detail) {
  const { image_urls, ...texts } = inputOf(detail);
  const values = Object.fromEntries(Object.entries(texts).map(([name, value]) => [name, String(value)]));
  draft.fill(detail.app, image_urls ? { ...values, image_urls } : values);
  navigate("#/");
}

/** An image in the form of the app that edits. @param {string} url @param {string} app */
export function useAsInput(url, app) {
  const { values } = draft.state.get();
  draft.choose(app);
  draft.change({ image_urls: [url, ...(values.image_urls ?? []).filter((/** @type {string} */ each) => each !== url)] });
  navigate("#/");
}

/** @param {any} item */
export async function cancel(item) {
  const result = await orToast(api.post("requests/cancel", { ids: [item.id], in_progress: true }));
  if (result?.done === 0) toast("The request had already ended.");
}

/** @param {any} item @returns {Promise<boolean>} whether it is deleted */
export async function remove(item) {
  const text = "Its images and its entry in the history are deleted, now and for good.";
  if (!(await ask({ title: "Delete this request?", text, confirm: "Delete" }))) return false;
  const isDone = (await orToast(api.delete(path("requests", item.id)).then(() => true))) ?? false;
  if (isDone) {
    requests.remove(item.id);
    toast("The request was deleted.");
  }
  return isDone;
}

/** Keep a request from expiring, or let it. @param {any} item @param {boolean} kept @returns {Promise<any>} the request as it is now */
export async function keep(item, kept) {
  const to = path("requests", item.id);
  const now = await orToast(api.patch(to, { keep: kept }).then(() => api.get(to)));
  if (now) requests.put(now);
  return now ?? item;
}
