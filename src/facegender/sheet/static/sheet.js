"use strict";

const { side, across, sheets, photos, faces } = JSON.parse(document.getElementById("data").textContent);
const place = document.getElementById("faces");
const control = Object.fromEntries(["answer", "quality", "order", "name"].map((id) => [id, document.getElementById(id)]));
const ROWS = 12; // of a block, which is filled when it comes near the window
const ROW = 9.25; // rem, as in the style
const ORDERS = { up: (a, b) => a.rank - b.rank, down: (a, b) => b.rank - a.rank, middle: (a, b) => a.sure - b.sure || a.rank - b.rank };
const counted = (count) => `${count.toLocaleString("en")} face${count === 1 ? "" : "s"}`;

const all = faces.map(([photo, number, p_male, quality, label, text, box], rank) => {
  const [name, link] = photos[photo];
  return { rank, name, link, number, p_male, quality, label, text, box, sure: Math.abs(p_male - 0.5) };
});
let columns = 0;
let found = all;

function element(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function cell({ rank, name, link, number, p_male, quality, label, text, box }) {
  const item = element("li", quality < 0.5 ? "low" : "");
  item.title = `${name}, face ${number}\np_male ${p_male}, quality ${quality}`;
  const thumb = element("span", "thumb");
  if (box) {
    const cellOf = rank % across ** 2;
    thumb.style.background = `url("${sheets[Math.floor(rank / across ** 2)]}") ${-side * (cellOf % across)}px ${-side * Math.floor(cellOf / across)}px`;
  }
  const answer = element("span", `answer ${label}`);
  answer.append(element("span", "line"), text);
  const last = element(link ? "a" : "span", "name", name.replace(/^.*[/\\](?=.)/, ""));
  if (link) last.href = link;
  item.append(thumb, answer, last);
  return item;
}

const near = new IntersectionObserver(
  (entries) => { for (const { isIntersecting, target } of entries) if (isIntersecting) fill(target); },
  { rootMargin: "1500px" },
);

function fill(block) {
  near.unobserve(block);
  if (block.childElementCount) return;
  const from = Number(block.dataset.from);
  block.append(...found.slice(from, from + columns * ROWS).map(cell));
}

function show() {
  const [least, most] = control.quality.value.split(" ").map(Number);
  const words = control.name.value.trim().toLowerCase();
  found = all.filter((face) => (!control.answer.value || face.label === control.answer.value)
    && face.quality >= least && face.quality <= most && face.name.toLowerCase().includes(words));
  found.sort(ORDERS[control.order.value]);
  document.getElementById("shown").textContent = found.length === all.length ? counted(all.length) : `${found.length.toLocaleString("en")} of ${counted(all.length)}`;
  near.disconnect();
  const blocks = [];
  for (let from = 0; from < found.length; from += columns * ROWS) {
    const block = element("ul", "");
    block.dataset.from = from;
    const height = `${ROW * Math.ceil(Math.min(columns * ROWS, found.length - from) / columns)}rem`;
    Object.assign(block.style, { height, containIntrinsicSize: `auto ${height}` });
    block.style.setProperty("--columns", columns);
    blocks.push(block);
  }
  place.replaceChildren(...blocks);
  if (!blocks.length) place.append(Object.assign(element("p", "", all.length ? "No face fits the filter." : "No face was found."), { id: "none" }));
  for (const block of blocks) near.observe(block);
}

for (const each of Object.values(control)) each.addEventListener("input", show);
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("beforeprint", () => place.querySelectorAll("ul").forEach(fill));
new ResizeObserver(() => {
  const fit = Math.max(1, Math.floor(place.clientWidth / (side + 10)));
  if (fit !== columns) {
    columns = fit;
    show();
  }
}).observe(place);
