// The table of all faces: sorted by a column, and filtered by answer, quality and name of the photo.

import { $ } from "./dom.js";
import { LABELS, LOW_QUALITY, counted } from "./words.js";

/** Rows shown before the user asks for all. */
const FIRST = 25;

/** What each column sorts by; faces that are equal in it stay in the order of the photos. */
const KEYS = {
  photo: ({ name }) => name,
  face: ({ number }) => number,
  answer: ({ label, p_male }) => LABELS.indexOf(label) - Math.max(p_male, 1 - p_male),
  p_male: ({ p_male }) => p_male,
  otherwise: ({ otherwise }) => otherwise ?? -1,
  quality: ({ quality }) => quality,
  pixels: ({ pixels }) => pixels,
};
const FILTERS = ["filter-answer", "filter-quality", "filter-photo"];
const ORDERS = ["none", "ascending", "descending"];
const compared = new Intl.Collator("en", { numeric: true }).compare;

/** Put these rows into the table; those that stand there already stay, and so does the focus. */
function fill(body, rows) {
  const there = [...body.rows];
  const focused = there.find((row) => row.contains(document.activeElement))?.dataset.face;
  let kept = 0;
  while (kept < rows.length && rows[kept] === there[kept]) kept += 1;
  for (const row of there.slice(kept)) row.remove();
  body.append(...rows.slice(kept));
  if (!focused || body.contains(document.activeElement)) return;
  const again = rows.find((row) => row.dataset.face === focused);
  again?.querySelector("button").focus({ preventScroll: true });
}

/**
 * @typedef {{element: HTMLElement, name: string, number: number, label: string, p_male: number, quality: number,
 *   otherwise: number | null, pixels: number}} Row one face; `otherwise` is a share, `pixels` an area
 */
export class FaceTable {
  /** @type {Row[]} in the order of the photos */
  #rows = [];
  #by = null;
  #order = "none";
  #all = false;
  #changed;

  /** @param {() => void} changed called whenever other rows are shown */
  constructor(changed) {
    this.#changed = changed;
    for (const heading of $("rows").querySelectorAll("th[data-key]")) {
      heading.querySelector("button").onclick = () => this.#sort(heading.dataset.key);
    }
    for (const id of FILTERS) $(id).oninput = () => this.#show();
    $("all-rows").onclick = () => {
      this.#all = true;
      this.#show();
      $("rows").querySelector("tbody button[tabindex='0']")?.focus();
    };
  }

  /** Show these rows, sorted and filtered as before; without rows, forget how. */
  show(rows) {
    if (!rows.length) {
      [this.#by, this.#order, this.#all] = [null, "none", false];
      for (const id of FILTERS) $(id).value = "";
    }
    this.#rows = rows;
    this.#show();
  }

  #sort(key) {
    const next = ORDERS[(ORDERS.indexOf(this.#by === key ? this.#order : "none") + 1) % ORDERS.length];
    this.#by = next === "none" ? null : key;
    this.#order = next;
    this.#show();
  }

  #show() {
    const rows = this.#sorted(this.#rows.filter(this.#wanted()));
    const shown = this.#all ? rows : rows.slice(0, FIRST);
    fill($("rows").tBodies[0], shown.map(({ element }) => element));
    for (const heading of $("rows").querySelectorAll("th[data-key]")) {
      heading.ariaSort = heading.dataset.key === this.#by ? this.#order : "none";
    }
    const count = rows.length === this.#rows.length ? counted(rows.length, "face")
      : `${rows.length.toLocaleString("en")} of ${counted(this.#rows.length, "face")}`;
    $("shown").textContent = shown.length < rows.length ? `${count}, the first ${FIRST} shown` : count;
    $("all-rows").hidden = shown.length === rows.length;
    $("all-rows").textContent = `Show all ${rows.length.toLocaleString("en")} rows`;
    this.#changed();
  }

  #wanted() {
    const [answer, quality] = [$("filter-answer").value, $("filter-quality").value];
    const words = $("filter-photo").value.trim().toLowerCase();
    return (row) => (!answer || row.label === answer) && row.name.toLowerCase().includes(words)
      && (!quality || (quality === "low") === row.quality < LOW_QUALITY);
  }

  #sorted(rows) {
    if (!this.#by) return rows;
    const key = KEYS[this.#by];
    const compare = this.#by === "photo" ? compared : (a, b) => a - b;
    const sign = this.#order === "ascending" ? 1 : -1;
    return rows.toSorted((a, b) => sign * compare(key(a), key(b)));
  }
}
