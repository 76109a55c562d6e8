// Halftone screens and heavy grain, found in the spectrum of a few patches and smoothed: facegender.faces.prints.
// All numbers come from models.json, where Python writes its own.

import { read, round } from "./pixels.js";

/** The screen or the grain that lies over a photo: { kind, size, sigma }; null where there is neither. */
export function texture(bitmap, settings) {
  const side = settings.sides.find((each) => Math.min(bitmap.width, bitmap.height) >= each);
  if (!side) return null;
  const places = placesFor(bitmap.height, bitmap.width, side, settings.grid);
  const count = Math.min(places.length, 1 + Math.floor((bitmap.width * bitmap.height) / settings.pixels_per_patch));
  const look = ([top, left]) => measured(read(bitmap, left, top, side, side), settings);
  const first = places.slice(0, count).map(look);
  if (!first.some((patch) => patch && (patch.period > 0 || patch.grain >= settings.grain))) return null;
  return agreed([...first, ...places.slice(count).map(look)], settings);
}

/** The photo without it, as another bitmap. */
export function smoothed(bitmap, { sigma }) {
  const { width, height } = bitmap;
  const weights = gaussian(sigma);
  const reach = weights.length >> 1;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const inside = (place, length) => {
    if (length === 1) return 0;
    for (;;) {
      if (place < 0) place = -place;
      else if (place >= length) place = 2 * length - 2 - place;
      else return place;
    }
  };
  const rows = new Map(); // smoothed along the row already
  const row = (y) => {
    let found = rows.get(y);
    if (!found) rows.set(y, (found = alongRow(read(bitmap, 0, y, width, 1).data, width, weights, inside)));
    return found;
  };
  for (let y = 0; y < height; y++) {
    const out = new ImageData(width, 1);
    out.data.fill(255);
    const sums = new Float32Array(width * 3);
    weights.forEach((weight, k) => {
      const values = row(inside(y + k - reach, height));
      for (let i = 0; i < sums.length; i++) sums[i] += weight * values[i];
    });
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) out.data[4 * x + c] = sums[3 * x + c];
    context.putImageData(out, 0, y);
    for (const old of rows.keys()) if (old < y - 2 * reach) rows.delete(old);
  }
  return canvas.transferToImageBitmap();
}

function alongRow(data, width, weights, inside) {
  const reach = weights.length >> 1;
  const row = new Float32Array(width * 3);
  for (let x = 0; x < width; x++) {
    for (let k = 0; k < weights.length; k++) {
      const from = 4 * inside(x + k - reach, width);
      for (let c = 0; c < 3; c++) row[3 * x + c] += weights[k] * data[from + c];
    }
  }
  return row;
}

/** As long as OpenCV's for bytes. */
function gaussian(sigma) {
  const length = round(sigma * 6 + 1) | 1;
  const middle = length >> 1;
  const weights = Array.from({ length }, (_, k) => Math.exp(-((k - middle) ** 2) / (2 * sigma ** 2)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function placesFor(height, width, side, grid) {
  const middle = (grid - 1) / 2;
  const steps = [];
  for (let k = 0; k < grid; k++) for (let j = 0; j < grid; j++) steps.push([k, j]);
  const away = ([k, j]) => Math.abs(k - middle) + Math.abs(j - middle);
  steps.sort((a, b) => (away(a) !== 0) - (away(b) !== 0) || away(b) - away(a));
  return steps.map(([k, j]) =>
    [round(((height - side) * (k + 1)) / (grid + 1)), round(((width - side) * (j + 1)) / (grid + 1))]);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function agreed(patches, settings) {
  const judged = patches.filter(Boolean);
  const enough = Math.max(2, judged.length / 3);
  const periods = judged.map(({ period }) => period).filter((period) => period > 0).sort((a, b) => a - b);
  if (periods.length >= enough) {
    const size = periods[periods.length >> 1];
    if (periods.filter((other) => Math.abs(other / size - 1) < settings.alike).length >= enough) {
      return { kind: "screen", size, sigma: Math.max(settings.least, settings.per_period * size) };
    }
  }
  const grain = judged.map((patch) => patch.grain).sort((a, b) => a - b);
  if (grain.length >= 2 && grain[grain.length >> 2] >= settings.grain) {
    const size = grain[grain.length >> 1];
    const [low, high] = settings.grain_bounds;
    return { kind: "grain", size, sigma: Math.min(Math.max(settings.per_level * size, low), high) };
  }
  return null;
}

/** What lies over a square patch: { period, grain }; null where it is flat. */
function measured({ data, width: side }, settings) {
  const values = Float64Array.from({ length: side * side }, (_, k) => data[4 * k + 1]);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  for (let k = 0; k < values.length; k++) values[k] -= mean;
  if (Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length) < settings.flat) return null;
  const taper = Float64Array.from({ length: side }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / side));
  const total = taper.reduce((sum, weight) => sum + weight, 0) ** 2;
  const noise = taper.reduce((sum, weight) => sum + weight * weight, 0) ** 2;
  for (let y = 0, k = 0; y < side; y++) for (let x = 0; x < side; x++, k++) values[k] *= taper[x] * taper[y];
  const half = (side >> 1) + 1;
  const height = spectrum(values, side);
  const distance = Float64Array.from(height, (_, k) => {
    const row = Math.floor(k / half);
    return Math.hypot((k % half) / side, (row < side / 2 ? row : row - side) / side);
  });
  const fine = [];
  for (let k = 0; k < height.length; k++) if (distance[k] >= settings.fine) fine.push(height[k] ** 2);
  const grain = Math.sqrt(median(fine) / Math.LN2 / noise);
  return { period: period(height.map((value) => (value * 2) / total), distance, side, settings), grain };
}

function period(peaks, distance, side, settings) {
  const half = (side >> 1) + 1;
  const inside = peaks.map((value, k) => (distance[k] >= 1 / settings.longest_period ? value : 0));
  const limit = settings.first_harmonic * inside.reduce((most, value) => Math.max(most, value), 0);
  let nearest = -1;
  for (let k = 0; k < inside.length; k++) {
    if (inside[k] >= limit && (nearest < 0 || distance[k] < distance[nearest])) nearest = k;
  }
  const [row0, column0] = [Math.floor(nearest / half), nearest % half];
  let best = nearest;
  for (const i of [-1, 0, 1]) {
    for (const j of [-1, 0, 1]) {
      const place = ((row0 + i + side) % side) * half + Math.min(Math.max(column0 + j, 0), half - 1);
      if (inside[place] > inside[best]) best = place;
    }
  }
  const [row, column] = [Math.floor(best / half), best % half];
  const far = distance[best];
  const ring = peaks.filter((_, k) => Math.abs(distance[k] - far) < 0.12 * far + 0.01);
  // The other peak of a screen lies at a right angle.
  const partner = highestNear(peaks, side, row < side / 2 ? -row : side - row, column);
  const enough = Math.max(settings.amplitude, settings.above * median(ring));
  return peaks[best] >= enough && partner >= settings.partner * peaks[best] ? 1 / far : 0;
}

function highestNear(peaks, side, across, down) {
  const half = (side >> 1) + 1;
  let highest = 0;
  for (const i of [-1, 0, 1]) {
    for (const j of [-1, 0, 1]) {
      let [row, column] = [down + i, across + j];
      column = ((column + side / 2 + side) % side) - side / 2;
      if (column < 0) [row, column] = [-row, -column];
      highest = Math.max(highest, peaks[((row % side) + side) % side * half + column]);
    }
  }
  return highest;
}

/** Absolute values of the half spectrum of a real square: rows of side / 2 + 1. */
function spectrum(values, side) {
  const half = (side >> 1) + 1;
  const real = Float64Array.from(values);
  const imaginary = new Float64Array(side * side);
  for (let row = 0; row < side; row++) transform(real, imaginary, row * side, 1, side);
  for (let column = 0; column < half; column++) transform(real, imaginary, column, side, side);
  return Float64Array.from({ length: side * half }, (_, k) => {
    const place = Math.floor(k / half) * side + (k % half);
    return Math.hypot(real[place], imaginary[place]);
  });
}

/** Fourier's transform of a power of two of numbers, in place (Cooley and Tukey 1965). */
function transform(real, imaginary, start, step, length) {
  const at = (k) => start + k * step;
  for (let k = 1, j = 0; k < length; k++) {
    let bit = length >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (k < j) {
      for (const part of [real, imaginary]) [part[at(k)], part[at(j)]] = [part[at(j)], part[at(k)]];
    }
  }
  for (let size = 2; size <= length; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const angle = (-2 * Math.PI * k) / size;
      const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      for (let first = k; first < length; first += size) {
        const [a, b] = [at(first), at(first + size / 2)];
        const [x, y] = [real[b] * cosine - imaginary[b] * sine, real[b] * sine + imaginary[b] * cosine];
        [real[b], imaginary[b]] = [real[a] - x, imaginary[a] - y];
        [real[a], imaginary[a]] = [real[a] + x, imaginary[a] + y];
      }
    }
  }
}
