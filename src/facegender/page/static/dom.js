// Elements, without a framework.

/** element("p", { class: "note" }, "text", child): attributes as in HTML; null and false are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** An answer in words, with a sample of its line: colour is never the only sign. */
export function answer(label) {
  return element("span", { class: `answer ${label}` }, element("span", { class: "line", "aria-hidden": "true" }), label);
}
