// One face at a time. The server has the answers; this page has only the place.

const $ = (id) => document.getElementById(id);
const WORDS = { female: "female", male: "male", unclear: "can’t tell" };

let state = null; // as the server says
let place = 0;
let item = null; // of the face that is shown
let queue = Promise.resolve(); // what was asked for, in order

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("facegender label has ended. What you answered before is saved; start it again to continue.");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

/** One thing after the other: quick keys are not lost and do not overtake each other. */
function then(act) {
  queue = queue.then(act).then(() => { $("alarm").textContent = ""; }, (error) => { $("alarm").textContent = error.message; });
  return queue;
}

const points = (value) => `±${value.toFixed(1)} points`;

function report() {
  $("bar").value = state.count ? state.done / state.count : 0;
  $("counted").textContent = `${state.done} of ${state.count} faces have an answer.`;
  const parts = [];
  if (state.now !== null) parts.push(`Interval now: ${points(state.now)}`);
  if (state.before !== null) parts.push(`${state.now === null ? "Interval w" : "w"}ithout labels: ${points(state.before)}`);
  if (state.more !== null) parts.push(`with 100 more labels: about ${points(state.more)}`);
  $("width").textContent = parts.length ? `${parts.join("; ")}.` : "";
  $("enough").hidden = !state.enough;
  $("enough").textContent = state.enough ? "Enough: twice as many labels would narrow the interval by less than a tenth." : "";
  $("who").textContent = [state.labeller && `Labeller: ${state.labeller}.`, state.review && "Uncertain faces only."]
    .filter(Boolean).join(" ");
}

async function show(where, said = "") {
  const next = Math.max(0, Math.min(where, state.count));
  const over = next >= state.count;
  if (!over) item = await ask(`item/${next}`);
  place = next; // not before: an answer is of the face that is shown
  const focused = document.activeElement;
  const onWay = focused === $("back") || $("end").contains(focused); // which may be disabled or hidden now
  $("desk").hidden = over;
  $("end").hidden = !over;
  if (over) {
    $("end-heading").textContent = state.done === state.count
      ? "All of these faces have an answer." : `${state.count - state.done} faces have no answer yet.`;
    $("end-file").textContent = `The answers are in ${state.file}.`;
    $("end-next").textContent = state.review || state.enough
      ? "You can close this page." : "You can close this page, or start again with a larger --number to continue.";
    $("end").focus();
    $("status").textContent = `${said} ${$("end-heading").textContent}`.trim();
    return;
  }
  $("photo").hidden = true;
  $("show").setAttribute("aria-expanded", "false");
  $("missing").hidden = true;
  $("face").hidden = false;
  $("face").classList.add("waiting"); // until it is loaded, the picture is that of the face before
  $("face").src = `item/${place}/face.jpg`;
  $("face").alt = `Face ${place + 1}`;
  $("place").textContent = `Face ${place + 1} of ${state.count}`;
  $("said").textContent = item.answer ? `You said: ${WORDS[item.answer]}.` : "";
  for (const button of document.querySelectorAll("[data-answer]")) {
    button.setAttribute("aria-pressed", String(button.dataset.answer === item.answer));
  }
  $("back").disabled = place === 0;
  if (onWay) $(place === 0 ? "forward" : "back").focus();
  $("status").textContent = `${said} Face ${place + 1} of ${state.count}. ${$("said").textContent}`.trim();
  for (const ahead of [place + 1, place + 2]) {
    if (ahead < state.count) new Image().src = `item/${ahead}/face.jpg`;
  }
}

/** The next face; after the last, the first without an answer; where all have one, the end. */
function onward(from) {
  return from + 1 < state.count ? from + 1 : state.next;
}

const answer = (word) => then(async () => {
  if (place >= state.count) return;
  state = await ask(`item/${place}`, { answer: word });
  report();
  await show(onward(place), `Saved: ${WORDS[word]}.`);
});

const back = () => then(() => show(place - 1));
const forward = () => then(() => (place < state.count ? show(place + 1) : undefined));

const undo = () => then(async () => {
  state = await ask("undo", {});
  report();
  await (state.place === null ? show(place, "There is nothing to take back.") : show(state.place, "Taken back."));
});

const togglePhoto = () => then(() => {
  if (place >= state.count) return;
  const open = $("photo").hidden;
  if (open) {
    $("whole").classList.add("waiting"); // as above
    $("whole").src = `item/${place}/photo.jpg`;
    $("whole").alt = "The photo, with a line around the face";
    $("name").textContent = item.photo;
  }
  $("photo").hidden = !open;
  $("show").setAttribute("aria-expanded", String(open));
  $("status").textContent = open ? "The photo is shown." : "The photo is hidden.";
});

for (const id of ["face", "whole"]) $(id).addEventListener("load", () => $(id).classList.remove("waiting"));
$("face").addEventListener("error", async () => {
  $("face").hidden = true;
  $("missing").hidden = false;
  $("missing").textContent = "This photo cannot be shown. Press → to continue.";
});

for (const button of document.querySelectorAll("[data-answer]")) {
  button.addEventListener("click", () => answer(button.dataset.answer));
}
$("back").addEventListener("click", back);
$("again").addEventListener("click", back);
$("forward").addEventListener("click", forward);
$("undo").addEventListener("click", undo);
$("show").addEventListener("click", togglePhoto);

const ARROWS = { ArrowLeft: back, Backspace: back, ArrowRight: forward };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const letter = $("letters").checked && document.querySelector(`[data-letter="${CSS.escape(event.key.toUpperCase())}"]`);
  if (!letter && !ARROWS[event.key]) return;
  event.preventDefault();
  if (letter) letter.click();
  else ARROWS[event.key]();
});

/** Speech input types letters that are not meant, so they can be switched off. A cookie is kept for every port, storage for one. */
function switchLetters() {
  const on = $("letters").checked;
  document.cookie = `letters=${on ? "on" : "off"}; path=/; max-age=31536000; samesite=strict`;
  for (const button of document.querySelectorAll("[data-letter]")) {
    button.querySelector("kbd").hidden = !on;
    if (on) button.setAttribute("aria-keyshortcuts", button.dataset.letter);
    else button.removeAttribute("aria-keyshortcuts");
  }
}
$("letters").checked = !document.cookie.split("; ").includes("letters=off");
$("letters").onchange = switchLetters;
switchLetters();

/** The interval is worked out beside the labelling. */
setInterval(async () => {
  try {
    state = await ask("state");
    report();
  } catch {
    // the next key says so
  }
}, 2000);

then(async () => {
  state = await ask("state");
  report();
  await show(state.next);
});
