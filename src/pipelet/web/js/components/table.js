// @ts-check
/**
 * A table of rows:
 *
 *     html`<${Table} caption="Workers" rows=${workers} rowKey=${(row) => row.name} columns=${[
 *       { label: "Name", cell: (row) => row.name, isHeader: true },
 *       { label: "Images", cell: (row) => number(row.images), align: "end" },
 *       { label: "Actions", cell: (row) => html`<button>…</button>`, isLabelHidden: true },
 *     ]} />`
 *
 * On a phone, each row is a block of labels and values; elsewhere it scrolls sideways where it does not fit. With `selected` (a Set of keys) and `onSelect(Set)` rows have checkboxes.
 * `isCaptionHidden` leaves the caption to screen readers. `foot` is a row of cells below.
 */

import { html } from "../../vendor/preact.js";

/**
 * @typedef {{label: string, cell: (row: any) => any, align?: string, isHeader?: boolean, isLabelHidden?: boolean}} Column
 * @param {{caption: string, columns: Column[], rows: any[], rowKey: (row: any) => string, isCaptionHidden?: boolean,
 *   selected?: Set<string> | null, onSelect?: (selected: Set<string>) => void, rowLabel?: (row: any) => string,
 *   foot?: any[] | null}} props
 */
export function Table(props) {
  const { caption, columns, rows, rowKey, isCaptionHidden = false, selected = null, onSelect, rowLabel = rowKey } = props;
  const { foot = null } = props;
  const keys = rows.map(rowKey);
  const isAll = keys.length > 0 && keys.every((key) => selected?.has(key));
  const toggle = (/** @type {string} */ key) => {
    const next = new Set(selected);
    if (!next.delete(key)) next.add(key);
    onSelect?.(next);
  };
  return html`
    <div class="table-scroll" tabindex="0" role="region" aria-label=${caption}>
      <table class="rows">
        <caption class=${isCaptionHidden ? "unseen" : ""}>${caption}</caption>
        <thead>
          <tr>
            ${selected &&
            html`<th scope="col" class="check">
              <input type="checkbox" aria-label="Select all" checked=${isAll} onChange=${() => onSelect?.(isAll ? new Set() : new Set(keys))} />
            </th>`}
            ${columns.map(
              ({ label, align, isLabelHidden }) =>
                html`<th key=${label} scope="col" class=${align ?? ""}><span class=${isLabelHidden ? "unseen" : ""}>${label}</span></th>`,
            )}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row, k) => html`
              <tr key=${keys[k]} data-key=${keys[k]} data-selected=${selected?.has(keys[k]) || null}>
                ${selected &&
                html`<td class="check">
                  <input type="checkbox" aria-label=${`Select ${rowLabel(row)}`} checked=${selected.has(keys[k])} onChange=${() => toggle(keys[k])} />
                </td>`}
                ${columns.map(({ label, cell, align, isHeader, isLabelHidden }) =>
                  isHeader
                    ? html`<th key=${label} scope="row" class=${align ?? ""}>${cell(row)}</th>`
                    : html`<td key=${label} class=${align ?? ""} data-label=${isLabelHidden ? null : label}>${cell(row)}</td>`,
                )}
              </tr>
            `,
          )}
        </tbody>
        ${foot && html`<tfoot><tr>${selected && html`<td></td>`}${foot.map((cell, k) => html`<td class=${columns[k]?.align ?? ""} data-label=${k ? columns[k]?.label : null}>${cell}</td>`)}</tr></tfoot>`}
      </table>
    </div>
  `;
}
