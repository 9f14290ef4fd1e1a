// @ts-check
/** Light, dark, or as the system has it: the choice of this browser. */

const NOTE = "pipelet.theme";

/** @typedef {"auto" | "light" | "dark"} Theme */

/** @returns {Theme} */
export function theme() {
  const found = localStorage.getItem(NOTE);
  return found === "light" || found === "dark" ? found : "auto";
}

/** @param {Theme} [chosen] */
export function applyTheme(chosen = theme()) {
  if (chosen === "auto") localStorage.removeItem(NOTE);
  else localStorage.setItem(NOTE, chosen);
  document.documentElement.dataset.theme = chosen;
}
