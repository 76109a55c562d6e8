// The chosen face: marked in its picture, in the list beside it and in the table, wherever it was chosen.
// Everything of a face carries data-face; the buttons in a [data-roving] are one stop of the Tab key, and arrows move in it.

let chosen = null;

/** Mark the chosen face again in what was just drawn, and leave one Tab stop in each group. */
export function remark() {
  for (const each of document.querySelectorAll("[data-face]")) {
    const is = each.dataset.face === chosen;
    each.classList.toggle("chosen", is);
    if (each.hasAttribute("aria-pressed")) each.setAttribute("aria-pressed", String(is));
  }
  for (const group of document.querySelectorAll("[data-roving]")) {
    const buttons = [...group.querySelectorAll("button")];
    const stop = buttons.find((button) => button.closest("[data-face]").dataset.face === chosen) ?? buttons[0];
    for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
  }
}

function choose(id) {
  if (id === chosen) return;
  chosen = id;
  remark();
}

/** Show the box in its photo, which may be closed. */
function reveal(box) {
  box?.closest(".photo").querySelector(".fold[aria-expanded=false]")?.click();
  box?.scrollIntoView({ block: "nearest" });
}

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

document.addEventListener("focusin", ({ target }) => {
  const face = target.closest("[data-face]");
  if (face) choose(face.dataset.face);
});

document.addEventListener("click", ({ target }) => {
  const face = target.closest("[data-face]");
  if (face) choose(face.dataset.face);
  if (target.matches(".number")) reveal(document.querySelector(".box.chosen"));
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") choose(null);
  const group = event.target.closest("[data-roving]");
  if (!group || !(event.key in MOVES) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const buttons = [...group.querySelectorAll("button")];
  const next = buttons.indexOf(document.activeElement) + MOVES[event.key];
  buttons[Math.min(Math.max(next, 0), buttons.length - 1)].focus();
});
