// @ts-check
/**
 * A component that is loaded when it is first shown, so that it does not weigh on the first view:
 *
 *     const Viewer = lazy(() => import("./viewer.js"));     // its module has it as `default`
 */

import { html, useEffect, useState } from "../../vendor/preact.js";
import { toast } from "./toast.js";

/** @param {() => Promise<{default: any}>} load */
export function lazy(load) {
  /** @type {any} */
  let Loaded = null;
  return function Lazy(/** @type {any} */ props) {
    const [Part, setPart] = useState(() => Loaded);
    useEffect(() => {
      if (Part) return;
      load().then(
        (module) => setPart(() => (Loaded = module.default)),
        () => toast("Pipelet may have been upgraded. Load the page again.", { kind: "error" }),
      );
    }, []);
    return Part && html`<${Part} ...${props} />`;
  };
}
