// One photo: its picture with boxes, what is said of each face beside it, and its rows in the table of all faces.
// A closed photo is a thumbnail.

import { box } from "./boxes.js";
import { $, answer, element } from "./dom.js";
import { alike, evidence, failure, label, listed, otherwise, percent, probable, warning } from "./words.js";

/** With more faces the picture takes the whole width, and what is said of them stands below it. */
const MANY = 3;

let last = 0;

export class Photo {
  #id = ++last;
  #url = null;
  #picture = element("img", { alt: "", decoding: "async", loading: "lazy" });
  #boxes = element("div", { class: "boxes", role: "group", "data-roving": true });
  #caption = element("p", { class: "caption" }, "waiting");
  #faces = element("ol", { class: "faces" });
  #gist = element("p", { class: "gist" });
  #fold;
  #frame;
  #plate;

  /** The classifier that made the result, and the result; null until then. */
  card = null;
  result = null;
  labels = [];
  /** @type {import("./table.js").Row[]} */
  rows = [];

  /** @param {File} file the photo is closed, and its picture not loaded */
  constructor(file) {
    this.file = file;
    this.#boxes.setAttribute("aria-label", `Faces in ${file.name}`);
    this.#frame = element("div", { class: "frame" }, this.#picture, this.#boxes);
    this.#picture.onload = () => this.#shape(this.#picture.naturalWidth, this.#picture.naturalHeight);
    this.#plate = element("div", { class: "plate" }, this.#frame,
      element("div", { class: "legend" }, this.#caption, this.#faces));
    const heading = `photo-${this.#id}`;
    this.#fold = element("button", { type: "button", class: "fold", title: file.name }, file.name);
    this.#fold.onclick = () => {
      this.open = !this.open;
      if (!this.element.getClientRects().length) $("all-photos").focus(); // it is one of those that wait behind that button
    };
    this.#frame.onclick = () => this.open || (this.open = true);
    this.element = element(
      "article",
      { class: "photo", "aria-labelledby": heading },
      element("h3", { id: heading }, this.#fold),
      this.#gist,
      this.#plate,
    );
    this.open = false;
  }

  /** Load the picture, which takes memory for all of its pixels. */
  load() {
    if (this.#url) return;
    this.#url = URL.createObjectURL(this.file);
    this.#picture.src = this.#url;
  }

  /** Whether all of it is shown, or a thumbnail. */
  get open() {
    return this.element.classList.contains("open");
  }

  set open(open) {
    if (open) this.load();
    this.element.classList.toggle("open", open);
    this.#fold.ariaExpanded = String(open);
    this.#boxes.inert = !open;
  }

  /** The style sheet makes the frame as large as there is room for. */
  #shape(width, height) {
    this.#frame.style.setProperty("--width", width);
    this.#frame.style.setProperty("--ratio", width / height);
  }

  /** Take the result that the classifier of this card gave. */
  take(result, card) {
    Object.assign(this, { result, card });
    this.element.classList.toggle("failed", result.error !== null);
    if (result.error) {
      this.result.error = { kind: result.error.kind, message: failure(result.error, this.file) };
      this.#frame.remove();
    } else {
      this.#shape(result.width, result.height);
      if (!this.#frame.parentNode) this.#plate.prepend(this.#frame); // it failed with another model
    }
  }

  /** Label and draw all faces for this accepted error, such as "0.01". */
  draw(accepted) {
    const { result, card } = this;
    if (!result) return;
    this.labels = result.faces.map((face) => label(face, card.confidence_for_error[accepted]));
    this.#caption.classList.toggle("failed", result.error !== null);
    this.element.classList.toggle("many", result.faces.length > MANY);
    this.#caption.replaceChildren(result.error?.message ?? this.#seen());
    this.#gist.textContent = result.error ? "could not be read" : listed(this.labels) || "no face found";
    const each = (made) => result.faces.map((face, k) => made.call(this, face, k, `${this.#id}-${k + 1}`));
    this.#boxes.replaceChildren(...each((face, k, id) => box(face, k + 1, this.labels[k], result, { id })));
    this.#faces.replaceChildren(...each(this.#said));
    this.rows = each(this.#row);
  }

  #seen() {
    const { width, height, faces, ms } = this.result;
    const size = `${width} × ${height} pixels, ${Math.round(ms.total)} ms`;
    return faces.length ? size : `No face found. ${size}`;
  }

  #said(face, k, id) {
    const warned = warning(face);
    return element(
      "li",
      { "data-face": id },
      element("p", { class: "verdict" }, element("b", {}, String(k + 1)), answer(this.labels[k]),
        element("span", { class: "probable" }, probable(face.p_male))),
      element("p", { class: "evidence" }, evidence(this.card.rates, face)),
      warned && element("p", { class: "warning" }, warned),
    );
  }

  #row(face, k, id) {
    const { card: { rates }, file: { name } } = this;
    const known = alike(rates, face);
    const all = known ? known.female + known.male : 0;
    const wrong = all ? otherwise(known, face.p_male)[1] / all : null;
    const [, , width, height] = face.box;
    const [label, number] = [this.labels[k], k + 1];
    const make = () => element(
      "tr",
      { "data-face": id },
      element("th", { scope: "row" }, name),
      element("td", {},
        element("button", { type: "button", class: "number", "aria-label": `Face ${number} of ${name}` }, String(number))),
      element("td", {}, answer(label), " ", element("span", { class: "probably" }, probable(face.p_male))),
      ...Object.entries({
        p_male: face.p_male.toFixed(4),
        otherwise: all ? `${percent(wrong)} of ${all.toLocaleString("en")}` : "–",
        quality: face.quality.toFixed(2),
        pixels: `${Math.round(width)} × ${Math.round(height)}`,
      }).map(([key, cell]) => element("td", { class: `figure ${key}` }, cell)),
    );
    let made = null;
    return {
      get element() {
        return (made ??= make()); // most are never shown
      },
      name, number, label, p_male: face.p_male, quality: face.quality, otherwise: wrong, pixels: width * height,
    };
  }

  /** Give its memory back. */
  close() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.element.remove();
  }
}
