// Boxes over a picture. They are placed in shares of it, so that they stay where they belong at any size.

import { element } from "./dom.js";
import { LOW_QUALITY, probable } from "./words.js";

/**
 * The box of face `number` (from 1) with its answer beside it.
 *
 * @param {{id?: string, mirrored?: boolean}} options with an id it is a button; without, only a drawing
 */
export function box(face, number, label, { width, height }, { id = null, mirrored = false } = {}) {
  const [x, y, w, h] = face.box;
  const left = mirrored ? width - x - w : x;
  const made = element(
    id ? "button" : "div",
    {
      class: `box ${label}${face.quality < LOW_QUALITY ? " low" : ""}${y / height < 0.06 ? " top" : ""}`,
      type: id && "button",
      "data-face": id,
      "aria-label": id && `Face ${number}: ${label}, ${probable(face.p_male)}`,
      "aria-pressed": id && "false",
    },
    element("span", { class: "tag" }, element("b", {}, String(number)), element("span", { class: "word" },
      label === "uncertain" ? label : probable(face.p_male))),
  );
  made.style.left = `${(100 * left) / width}%`;
  made.style.top = `${(100 * y) / height}%`;
  made.style.width = `${(100 * w) / width}%`;
  made.style.height = `${(100 * h) / height}%`;
  return made;
}
