// Does the work beside the page: decode, detect, align, classify. Takes { id, call, argument } and answers { id, ... }.

import { cropFace, cropScale } from "./crops.js";
import {
  eachOnce, firstScaleFor, input, merged, quality, readCells, scaleFor, tiles, toPhoto, wayUp, withTurned,
} from "./faces.js";
import { jpegPart, reduced, turned } from "./pixels.js";
import { smoothed, texture } from "./prints.js";
import { rounded } from "./records.js";

const here = new URL("./", self.location.href);
const state = { ort: null, models: null, detector: null, backend: "wasm", classifier: null, card: null };

const calls = { open, use, analyze };

let turn = Promise.resolve(); // a network runs one call at a time

self.onmessage = ({ data: { id, call, argument } }) => {
  turn = turn.then(async () => {
    try {
      self.postMessage({ id, answer: await calls[call](argument, (progress) => self.postMessage({ id, progress })) });
    } catch (error) {
      self.postMessage({ id, failure: error instanceof Error ? error.message : String(error) });
    }
  });
};

async function fetched(path) {
  const response = await fetch(new URL(path, here));
  if (!response.ok) throw new Error(`${path} could not be loaded: ${response.status} ${response.statusText}`);
  return response;
}

async function open({ backend }, report) {
  report({ fraction: 0, text: "list of networks" });
  state.models = await (await fetched("models.json")).json();
  const { detector, classifiers, default: usual } = state.models;
  const card = named(usual);
  report({ fraction: 0.1, text: "runtime and networks" });
  const files = [detector, card].map(weights); // requested now, awaited later
  const gpu = backend !== "wasm" && (await hasGpu(backend === "webgpu"));
  // The build that knows GPUs also runs on the CPU, but is larger and needs a newer browser.
  const build = gpu ? "jspi." : "";
  state.ort = await import(`./vendor/ort.${build || "wasm."}bundle.min.mjs`);
  state.ort.env.logLevel = "error";
  state.ort.env.wasm.wasmPaths = { wasm: new URL(`vendor/ort-wasm-simd-threaded.${build}wasm`, here).href };
  // More threads need a page that is isolated from others, which takes two headers of the server.
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  state.ort.env.wasm.numThreads = threads;
  await openDetector(await files[0], gpu, backend);
  report({ fraction: 0.8, text: "classifier" });
  await openClassifier(card, await files[1]);
  report({ fraction: 1, text: "ready" });
  turn = turn.then(warmUp).catch(() => {}); // while the first photo is chosen, which will say what is wrong
  const { names, version } = state.models;
  return { models: classifiers, names, version, model: card.name, backend: state.backend, threads };
}

/** Whether there is a GPU to be used; one that is only played by the CPU counts where it is asked for. */
async function hasGpu(asked) {
  if (!("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return false;
  return asked || !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

/** On the CPU, or where there is a GPU, on the faster of the two; the classifier is too small for one. */
async function openDetector(bytes, gpu, asked) {
  state.detector = await session(bytes, "wasm");
  if (!gpu) return;
  try {
    const other = await session(bytes, "webgpu");
    const faster = asked === "webgpu" || (await seconds(other)) < (await seconds(state.detector));
    const loser = faster ? state.detector : other;
    if (faster) Object.assign(state, { detector: other, backend: "webgpu" });
    await loser.release();
  } catch (error) {
    console.info(`the GPU is not used: ${error}`);
  }
}

/** What the detector takes for an empty picture, the first time aside. */
async function seconds(detector) {
  const [height, width] = [480, 640];
  let began;
  for (let k = 0; k < 4; k++) {
    if (k === 1) began = performance.now();
    const images = new state.ort.Tensor("uint8", new Uint8Array(height * width * 3), [1, height, width, 3]);
    const { cells } = await detector.run({ images });
    await cells.getData();
    cells.dispose();
  }
  return (performance.now() - began) / 3000;
}

async function weights({ file, sha256 }) {
  const bytes = await (await fetched(file)).arrayBuffer();
  if (crypto.subtle) { // absent where the page came over plain HTTP from another machine
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== sha256) throw new Error(`${file} is damaged: its sha256 is ${found}, its card says ${sha256}`);
  }
  return bytes;
}

function session(bytes, backend) {
  return state.ort.InferenceSession.create(bytes, { executionProviders: [backend] });
}

function named(model) {
  const card = state.models.classifiers.find(({ name }) => name === model);
  if (!card) throw new Error(`there is no model ${model}`);
  return card;
}

async function use(model) {
  const card = named(model);
  await openClassifier(card, await weights(card));
  return card.name;
}

async function openClassifier(card, bytes) {
  const classifier = await session(bytes, "wasm");
  await state.classifier?.release();
  Object.assign(state, { classifier, card });
}

/** The first photo takes longest, so let it be an empty one. */
async function warmUp() {
  const canvas = new OffscreenCanvas(128, 96);
  canvas.getContext("2d");
  const bitmap = canvas.transferToImageBitmap();
  const picture = { bitmap, width: bitmap.width, height: bitmap.height };
  await detect(picture, true);
  await classify(picture, [{ points: state.card.template.points.map(([x, y]) => [100 * x, 100 * y]) }]);
  bitmap.close();
}

async function analyze({ source, upright }) {
  const began = performance.now();
  const photo = { bitmap: source, isJpeg: false, isFrame: upright };
  if (source instanceof Blob) {
    try {
      photo.isJpeg = await startsAsJpeg(source);
      photo.bitmap = await createImageBitmap(source);
    } catch {
      return failed("not_an_image", "this browser cannot read it as an image");
    }
  }
  const pictures = [];
  try {
    const { width, height } = photo.bitmap;
    if (width * height > state.models.max_pixels) {
      return failed("pixel_limit", `it has ${width} x ${height} pixels, above the limit of ${state.models.max_pixels}`);
    }
    const picture = await pictureOf(photo, scaleFor(width, height, state.models.detector), pictures);
    const decoded = performance.now();
    const found = await detect(picture, upright);
    const detected = performance.now();
    // Decoded for the detector, which does with less than small faces can show.
    const wanted = Math.min(1, Math.max(0, ...found.map(zoomOf)));
    const closer = picture.bitmap.width / width < wanted ? await pictureOf(photo, wanted, pictures) : picture;
    const p_male = await classify(closer, found);
    const ended = performance.now();
    // Rounded here, so that the label, what is shown and the records follow from the same numbers.
    const faces = found.map((face, k) => ({
      box: face.box,
      score: face.score,
      quality: rounded(quality(face, state.models.detector), 4),
      landmarks: face.points,
      p_male: rounded(p_male[k], 4),
    }));
    const ms = { decode: decoded - began, detect: detected - decoded, classify: ended - detected, total: ended - began };
    return { width, height, faces, error: null, notes: notesOn(picture.pattern ? picture : closer, found), ms, model: state.card.name };
  } catch (error) {
    return failed("failed", error instanceof Error ? error.message : String(error));
  } finally {
    for (const { bitmap } of [photo, ...pictures]) bitmap.close();
  }
}

/** Whether Python would decode it at a reduced scale. */
async function startsAsJpeg(file) {
  const head = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  return head.length === 3 && head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff;
}

/**
 * A photo with no more pixels than this scale needs, and without its screen or grain: what FaceAnalyzer reads. A screen
 * is found by its period in these pixels.
 *
 * @param {object[]} all it is added to them, to be closed with them
 */
async function pictureOf({ bitmap, isJpeg, isFrame }, wanted, all) {
  const picture = { bitmap, width: bitmap.width, height: bitmap.height, pattern: null };
  all.push(picture);
  const part = isJpeg ? jpegPart(wanted) : 1;
  if (part > 1) picture.bitmap = await reduced(bitmap, part);
  picture.pattern = isFrame ? null : texture(picture.bitmap, state.models.prints);
  if (picture.pattern) {
    const plain = picture.bitmap;
    picture.bitmap = smoothed(plain, picture.pattern);
    plain.close();
  }
  return picture;
}

/** Crop pixels per pixel of the photo. */
function zoomOf({ points }) {
  return cropScale(points, state.card.template.points, state.card.input_size);
}

/** What should be known of a photo besides, as in Python's records. */
function notesOn({ bitmap, width, pattern }, faces) {
  const notes = [];
  if (pattern?.kind === "screen") {
    const period = (pattern.size * width) / bitmap.width;
    notes.push({ kind: "screen", message: `a halftone screen of ${period.toFixed(1)} pixels was smoothed` });
  } else if (pattern) {
    notes.push({ kind: "grain", message: "heavy grain was smoothed" });
  }
  const count = faces.filter(({ turned: degrees }) => degrees !== 0).length;
  const lie = count === 1 ? "1 face lies on its side or upside down" : `${count} faces lie on their side or upside down`;
  if (count) notes.push({ kind: "turned", message: lie });
  return notes;
}

function failed(kind, message) {
  return { width: null, height: null, faces: [], error: { kind, message }, ms: null };
}

/** The faces of a photo; unless it is upright for sure, where no face is, those that hang or lie on their side too. */
async function detect(picture, upright) {
  const settings = state.models.detector;
  const full = scaleFor(picture.width, picture.height, settings);
  const found = await search(picture, [0], full);
  if (settings.any_way_up) return found.map((face) => ({ ...face, turned: wayUp(face, settings) }));
  if (upright || found.some(({ score }) => score >= settings.confident)) return found;
  const first = firstScaleFor(picture.width, picture.height, settings);
  const faces = withTurned(found, await search(picture, [1, 2, 3], first), settings);
  if (first === full) return faces;
  const ways = [1, 2, 3].filter((turns) => faces.some(({ turned: degrees }) => degrees === 90 * turns));
  return ways.length ? withTurned(found, await search(picture, ways, full), settings) : found;
}

/** The faces that are found at a scale after any of these quarter turns against the clock, each once. */
async function search(picture, ways, scale) {
  const settings = state.models.detector;
  const found = new Map(ways.map((turns) => [turns, []]));
  for (const tile of tiles(picture, scale, settings)) {
    for (const turns of ways) {
      const { bytes, width, height } = input(turned(tile.picture, turns), settings.multiple);
      const images = new state.ort.Tensor("uint8", bytes, [1, height, width, 3]);
      const { cells } = await state.detector.run({ images });
      const faces = readCells(await cells.getData(), height, width, settings);
      found.get(turns).push(...toPhoto(faces, turns, tile));
      cells.dispose();
    }
  }
  return eachOnce([...found].flatMap(([turns, faces]) => merged(faces, turns, settings)), settings);
}

/** Calibrated probabilities, a few faces at a time so that memory stays flat. */
async function classify(picture, faces) {
  const { template: { points }, input_size: size } = state.card;
  const p_male = [];
  for (let begin = 0; begin < faces.length; begin += 32) {
    const some = faces.slice(begin, begin + 32);
    const bytes = new Uint8Array(some.length * size * size * 3);
    some.forEach((face, k) => bytes.set(cropFace(picture, face.points, points, size), k * size * size * 3));
    const crops = new state.ort.Tensor("uint8", bytes, [some.length, size, size, 3]);
    const answer = await state.classifier.run({ crops });
    p_male.push(...answer.p_male.data);
    answer.p_male.dispose();
  }
  return p_male;
}
