// The page: takes photos, has them analysed one after another, and shows the answers. See engine.js for the analysis.

import { describe, trainedOn } from "./about.js";
import { Camera } from "./camera.js";
import { remark } from "./choice.js";
import { $, element } from "./dom.js";
import { Analyzer } from "./engine.js";
import { entriesOf, photosIn } from "./folders.js";
import { Photo } from "./photo.js";
import { record, toCsv, toJsonLines, toTsv } from "./records.js";
import { FaceTable } from "./table.js";
import { LABELS, announced, counted, counts, listed, percent } from "./words.js";

const USUAL_ERROR = "0.01";
/** More photos than these are thumbnails, and of more thumbnails than those the rest waits for a click. */
const OPEN = 6;
const THUMBNAILS = 24;
/** While photos wait, all faces are counted again once this many times as long as it takes has passed. */
const RARELY = 10;
/** What screen readers announce when it changes, beside the status. */
const SPOKEN = ["uncertain", "shown"];

let photos = [];
let analyzer = null;
let card = null; // of the model that is chosen
let busy = false;
let pasted = 0;
let summarized = { end: 0, took: 0 }; // when the last time ended, and the milliseconds that it took

/** The errors that the model's card knows are the steps of the slider. */
const errors = () => Object.keys(card.confidence_for_error).sort((a, b) => a - b);
const accepted = () => errors()[$("error").value];
const table = new FaceTable(remark);
const say = (text) => ($("status").textContent = text);

// Photos in -----------------------------------------------------------------------------------------------------------

/** The file, by a name that is not taken yet: files of different folders may be called the same. */
function unique(file, taken) {
  const [, stem, end = ""] = /^(.*?)(\.[^.]*)?$/s.exec(file.name);
  let name = file.name;
  for (let k = 2; taken.has(name); k++) name = `${stem} (${k})${end}`;
  taken.add(name);
  return name === file.name ? file : new File([file], name, { type: file.type });
}

function add(files) {
  if (!files.length || $("choose").disabled) return; // disabled where the networks could not be loaded
  const before = photos.length;
  const taken = new Set(photos.map(({ file }) => file.name));
  for (const file of files) {
    const photo = new Photo(unique(file, taken));
    photos.push(photo);
    $("photos").append(photo.element);
  }
  $("results").hidden = false;
  const open = photos.length <= OPEN;
  $("photos").classList.toggle("sheet", !open);
  // What the user opened or closed stays so, unless all become thumbnails.
  for (const photo of (before <= OPEN) === open ? photos.slice(before) : photos) photo.open = open;
  unfold($("all-photos").ariaPressed === "true");
  work();
}

async function addFolders(entries) {
  if ($("choose").disabled) return;
  say("Reading the folder");
  try {
    const files = await photosIn(entries);
    if (files.length) add(files);
    else say("There is no photo in the folder.");
  } catch (error) {
    say(`The folder could not be read: ${error.message}`);
  }
}

/** Show all thumbnails, or the first ones and what could not be read. */
function unfold(all) {
  $("photos").classList.toggle("all", all);
  $("all-photos").hidden = photos.length <= THUMBNAILS;
  $("all-photos").ariaPressed = String(all);
  $("all-photos").textContent = `Show all ${photos.length.toLocaleString("en")} photos`;
  photos.forEach((photo, place) => {
    photo.element.classList.toggle("later", place >= THUMBNAILS);
    if (all || place < THUMBNAILS) photo.load();
  });
}
$("all-photos").onclick = () => unfold($("all-photos").ariaPressed !== "true");

/** Have photos analysed until each has an answer of the chosen model. */
async function work() {
  if (busy || !analyzer) return;
  busy = true;
  for (const id of SPOKEN) $(id).ariaLive = "off"; // the status says enough of each photo
  const done = new Set();
  for (let photo; (photo = photos.find((each) => each.card !== card)); ) {
    const asked = card;
    const waiting = photos.filter((each) => each.card !== card).length;
    if (waiting > 1) say(`${counted(waiting, "photo")} to go`);
    let result;
    try {
      result = await analyzer.analyze(photo.file);
    } catch (error) {
      result = { width: null, height: null, faces: [], error: { kind: "failed", message: error.message } };
    }
    if (!photos.includes(photo)) continue; // cleared meanwhile
    done.add(photo);
    // Another model may have been chosen before the photo's turn came.
    photo.take(result, analyzer.models.find(({ name }) => name === result.model) ?? asked);
    photo.draw(accepted());
    say(`${result.error?.message ?? announced(photo.file.name, photo.labels)}.`);
    if (waiting === 1 || performance.now() > summarized.end + RARELY * summarized.took) summarize();
  }
  busy = false;
  for (const id of SPOKEN) $(id).ariaLive = "polite";
  const count = photos.filter((each) => done.has(each)).length;
  if (count > 1) say(`${counted(count, "photo")} done. ${$("summary").textContent}`);
}

$("choose").onclick = () => $("files").click();
$("files").onchange = () => {
  add($("files").files);
  $("files").value = "";
};

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("choose").classList.add("over");
});
document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) $("choose").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("choose").classList.remove("over");
  const entries = entriesOf(event.dataTransfer);
  if (entries) addFolders(entries);
  else add(event.dataTransfer.files);
});
document.addEventListener("paste", ({ target, clipboardData }) => {
  if (target.matches?.("[type=search]")) return; // text is meant
  // The clipboard calls each picture image.png.
  add([...clipboardData.files].map((file) =>
    file.name === "image.png" ? new File([file], `pasted ${++pasted}.png`, { type: file.type }) : file));
});

// Answers out ---------------------------------------------------------------------------------------------------------

function relabel() {
  for (const photo of photos) photo.draw(accepted());
  describe(card, accepted(), analyzer.names);
  $("model-now").textContent = card.name;
  $("terms").textContent = card.licence;
  for (const each of document.querySelectorAll(".model-name")) each.textContent = card.name;
  const error = percent(Number(accepted())).replace(".0", "");
  const confidence = card.confidence_for_error[accepted()];
  $("error-now").textContent = error;
  $("error").setAttribute("aria-valuetext", error);
  $("error-means").textContent =
    `Of the answers given, at most about ${error} are wrong on faces like the validation photos. ` +
    (confidence > 0.5 ? `Faces whose answer is less than ${percent(confidence)} probable are called uncertain.`
      : "At this error every face gets an answer.");
  summarize();
}

function summarize() {
  const began = performance.now();
  const labels = photos.flatMap((each) => each.labels);
  const found = counts(labels);
  for (const label of LABELS) $(`count-${label}`).textContent = found[label];
  const seen = photos.filter((each) => each.result);
  const [inPhotos, failed] = [counted(seen.length, "photo"), seen.filter((each) => each.result.error).length];
  $("summary").textContent = !seen.length ? ""
    : (labels.length ? `${counted(labels.length, "face")} in ${inPhotos}: ${listed(labels)}.` : `No face in ${inPhotos}.`)
      + (failed ? ` ${counted(failed, "photo")} could not be read.` : "");
  $("uncertain").textContent = labels.length ? `${found.uncertain} of ${counted(labels.length, "face")} uncertain.` : "";
  $("table").hidden = !labels.length;
  table.show(photos.flatMap((each) => each.rows));
  const end = performance.now();
  summarized = { end, took: end - began };
}

/** Those with an answer of the chosen model: answers of two must not stand in one file. */
const answered = () => photos.filter((each) => each.result && each.card === card);
const records = () => answered().map(({ file, result, labels }) => record(file.name, result, labels));

/** What the records lack so far: ", without 3 photos still to be analysed". */
function lacking() {
  const count = photos.length - answered().length;
  return count ? `, without ${counted(count, "photo")} still to be analysed` : "";
}

function save(name, type, text) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`Saved ${name}${lacking()}.`);
}

async function copy() {
  const [text, lack] = [toTsv(records()), lacking()];
  let copied = true;
  try {
    await navigator.clipboard.writeText(text); // over https and on this machine only
  } catch {
    const area = element("textarea", { class: "aside" }, text);
    document.body.append(area);
    area.select();
    copied = document.execCommand("copy");
    area.remove();
    $("copy").focus();
  }
  say(copied ? `Copied${lack}: paste it into a spreadsheet.`
    : "The browser did not allow it: save the table as CSV.");
}

$("copy").onclick = copy;
$("save-csv").onclick = () => save("faces.csv", "text/csv", toCsv(records()));
$("save-json").onclick = () => save("faces.jsonl", "application/jsonl", toJsonLines(records()));
$("clear").onclick = () => {
  for (const photo of photos) photo.close();
  photos = [];
  unfold(false);
  $("results").hidden = true;
  summarize();
  say("Cleared.");
  $("choose").focus();
};

// Networks ------------------------------------------------------------------------------------------------------------

function offer(models) {
  const order = [card, ...models.filter((each) => each !== card)];
  $("model").open = window.matchMedia("(min-width: 44rem)").matches;
  $("models").append(...order.map((model) => element("label", { class: "model" },
    element("input", { type: "radio", name: "model", value: model.name, checked: model.name === card.name }),
    element("span", {}, element("b", {}, model.name), ` trained on ${trainedOn(model, analyzer.names)}`,
      element("small", {}, `Terms of use: ${model.licence}. ${model.parameters.toLocaleString("en")} parameters.`)))));
  $("models").onchange = ({ target }) => take(target.value);
}

async function take(name) {
  try {
    await analyzer.use(name);
  } catch (error) {
    say(`The model ${name} could not be loaded: ${error.message}`);
    document.querySelector(`[name=model][value=${card.name}]`).checked = true;
    return;
  }
  const error = accepted();
  card = analyzer.models.find((each) => each.name === name);
  settle(error);
  say(`Answers are now those of the model ${name}.`);
  work();
}

/** Set the slider to an error, or to the least where the model's card does not know it. */
function settle(error) {
  $("error").max = errors().length - 1;
  $("error").value = Math.max(errors().indexOf(error), 0);
  $("error").disabled = false;
  relabel();
}

async function open() {
  const onProgress = (fraction, text) => {
    $("loading").value = fraction;
    say(`Loading: ${text}`);
  };
  try {
    analyzer = await Analyzer.open({ onProgress });
  } catch (error) {
    say(`The networks could not be loaded: ${error.message}. Reload the page to try again.`);
    $("choose").disabled = $("camera-start").disabled = true;
    return;
  } finally {
    $("loading").hidden = true;
  }
  card = analyzer.models.find(({ name }) => name === analyzer.model) ?? analyzer.models[0];
  offer(analyzer.models);
  settle(USUAL_ERROR);
  const threads = counted(analyzer.threads, "thread");
  $("version").textContent = `facegender ${analyzer.version}, ${analyzer.backend}, ${threads}`;
  say("Ready.");
  work();
}

$("error").oninput = relabel;
const ready = open();
new Camera({
  analyze: async (video) => {
    await ready;
    if (!analyzer) throw new Error("the networks could not be loaded. Reload the page to try again");
    return analyzer.analyze(video);
  },
  confidence: () => card.confidence_for_error[accepted()],
  keep: (file) => add([file]),
  say,
});
