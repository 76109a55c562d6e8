// Pictures as RGBA bytes, resized as OpenCV does in the Python pipeline: { data, width, height }.

/** Python's round: halves go to the even neighbour. */
export function round(value) {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1;
  return down % 2 ? down + 1 : down;
}

/**
 * Part of a decoded photo. Transparent parts become white, as in Python.
 *
 * @param {ImageBitmap} bitmap
 */
export function read(bitmap, left, top, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.imageSmoothingEnabled = false;
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, left, top, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Rows of a photo that are read at a time. */
const STRIP = 256;

/** What the sides of a JPEG are divided by where this scale is wanted: facegender.faces.decode. */
export function jpegPart(wanted) {
  return [8, 4, 2].find((part) => 1 / part >= wanted) ?? 1;
}

/**
 * A photo at 1 / 2, 1 / 4 or 1 / 8 as a JPEG decoder gives it: each block of pixels averaged, the last ones cut short.
 *
 * @param {ImageBitmap} bitmap
 */
export async function reduced(bitmap, part) {
  const width = Math.ceil(bitmap.width / part);
  const data = new Uint8ClampedArray(width * Math.ceil(bitmap.height / part) * 4).fill(255);
  let out = 0;
  for (let top = 0; top < bitmap.height; top += STRIP) {
    const strip = read(bitmap, 0, top, bitmap.width, Math.min(STRIP, bitmap.height - top));
    for (let y = 0; y < strip.height; y += part) {
      for (let x = 0; x < strip.width; x += part, out += 4) mean(strip, x, y, part, data, out);
    }
  }
  return createImageBitmap(new ImageData(data, width));
}

function mean({ data, width, height }, left, top, part, means, out) {
  const [right, bottom] = [Math.min(left + part, width), Math.min(top + part, height)];
  let [red, green, blue] = [0, 0, 0];
  for (let y = top; y < bottom; y++) {
    for (let i = (y * width + left) * 4, end = (y * width + right) * 4; i < end; i += 4) {
      red += data[i];
      green += data[i + 1];
      blue += data[i + 2];
    }
  }
  const count = (right - left) * (bottom - top);
  [means[out], means[out + 1], means[out + 2]] = [red / count, green / count, blue / count];
}

/** For each output pixel along one side, the first input pixel and the weights of it and of those that follow. */
function areaWeights(from, to) {
  const zoom = from / to;
  return Array.from({ length: to }, (_, i) => {
    const [begin, end] = [i * zoom, (i + 1) * zoom];
    const width = Math.min(zoom, from - begin);
    const last = Math.min(Math.floor(end), from - 1);
    const whole = Math.min(Math.ceil(begin), last);
    const weights = new Array(last - whole).fill(Math.fround(1 / width));
    const before = whole - begin > 1e-3; // OpenCV's own limit
    if (before) weights.unshift(Math.fround((whole - begin) / width));
    if (end - last > 1e-3) weights.push(Math.fround(Math.min(end - last, 1, width) / width));
    return { first: before ? whole - 1 : whole, weights };
  });
}

/**
 * For each output pixel along one side, two input pixels and their weights in 2048ths, as OpenCV rounds them. At the
 * ends it takes one pixel whole along a row, but down a column twice with both weights.
 */
function linearWeights(from, to, whole) {
  const zoom = from / to;
  const inside = (place) => Math.min(Math.max(place, 0), from - 1);
  return Array.from({ length: to }, (_, i) => {
    const place = Math.fround((i + 0.5) * zoom - 0.5);
    const first = Math.floor(place);
    const rest = whole && inside(place) !== place ? 0 : Math.fround(place - first);
    return { first: inside(first), second: inside(first + 1),
      weights: [round(Math.fround(1 - rest) * 2048), round(rest * 2048)] };
  });
}

/**
 * Another size: averaged or bilinear. Unless it is said, a picture that becomes narrower is averaged, as
 * facegender.faces.pyramid does.
 */
export function resized(picture, width, height, averaged = width < picture.width) {
  if (picture.width === width && picture.height === height) return picture;
  return resizedRows((top, count) => rows(picture, top, count), picture.width, picture.height, width, height, averaged);
}

function rows(picture, top, count) {
  const stride = picture.width * 4;
  return picture.data.subarray(top * stride, (top + count) * stride);
}

/**
 * Part of a photo at another size, read a few rows at a time: there is never more of it in memory than its bitmap.
 *
 * @param {ImageBitmap} bitmap
 */
export function shrunk(bitmap, [left, right], [upper, lower], width, height) {
  const [wide, high] = [right - left, lower - upper];
  if (wide === width && high === height) return read(bitmap, left, upper, width, height);
  const strip = { top: 0, count: 0, data: null };
  const source = (top, count) => {
    if (!strip.data || top < strip.top || top + count > strip.top + strip.count) {
      strip.top = top;
      strip.count = Math.min(Math.max(count, STRIP), high - top);
      strip.data = read(bitmap, left, upper + top, wide, strip.count).data;
    }
    const stride = wide * 4;
    return strip.data.subarray((top - strip.top) * stride, (top - strip.top + count) * stride);
  };
  return resizedRows(source, wide, high, width, height, width < wide);
}

function resizedRows(source, fromWidth, fromHeight, width, height, averaged) {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  const [weights, alongRow, downColumns] =
    averaged ? [areaWeights, areaRow, areaColumns] : [linearWeights, linearRow, linearColumns];
  const across = weights(fromWidth, width, true);
  const halved = fromWidth === 2 * width && fromHeight === 2 * height;
  const done = new Map(); // rows of the input at the output's width: neighbours share them
  const row = (y) => {
    let found = done.get(y);
    if (!found) done.set(y, (found = alongRow(source(y, 1), across)));
    return found;
  };
  weights(fromHeight, height, false).forEach((down, y) => {
    for (const old of done.keys()) if (old < down.first) done.delete(old);
    downColumns(row, down, data, y * width * 4, width, halved);
  });
  return { data, width, height };
}

function areaRow(input, across) {
  const row = new Float32Array(across.length * 3); // sums are rounded as often as OpenCV's
  for (let x = 0, out = 0; x < across.length; x++, out += 3) {
    const { first, weights } = across[x];
    for (let j = 0, i = first * 4; j < weights.length; j++, i += 4) {
      const weight = weights[j];
      row[out] += Math.fround(weight * input[i]);
      row[out + 1] += Math.fround(weight * input[i + 1]);
      row[out + 2] += Math.fround(weight * input[i + 2]);
    }
  }
  return row;
}

function areaColumns(row, { first, weights }, data, out, width, halved) {
  const sum = new Float32Array(width * 3);
  weights.forEach((weight, j) => {
    const values = row(first + j);
    for (let k = 0; k < sum.length; k++) sum[k] += Math.fround(weight * values[k]);
  });
  // Both round to the nearest; but OpenCV rounds means of four upwards at the half, all others to the even neighbour.
  if (halved) for (let k = 0; k < sum.length; k++) sum[k] = Math.floor(sum[k] + 0.5);
  for (let k = 0; k < sum.length; out++) {
    data[out++] = sum[k++];
    data[out++] = sum[k++];
    data[out++] = sum[k++];
  }
}

function linearRow(input, across) {
  const row = new Int32Array(across.length * 3);
  for (let x = 0, out = 0; x < across.length; x++) {
    const { first, second, weights } = across[x];
    for (let k = 0; k < 3; k++) row[out++] = input[first * 4 + k] * weights[0] + input[second * 4 + k] * weights[1];
  }
  return row;
}

function linearColumns(row, { first, second, weights: [upper, lower] }, data, out, width) {
  const [above, below] = [row(first), row(second)];
  for (let k = 0; k < width * 3; out++) {
    for (let c = 0; c < 3; c++, k++) {
      data[out++] = (((upper * (above[k] >> 4)) >> 16) + ((lower * (below[k] >> 4)) >> 16) + 2) >> 2;
    }
  }
}

/** The picture after this number of quarter turns counterclockwise. */
export function turned(picture, turns) {
  if (turns === 0) return picture;
  const { width, height } = picture;
  const pixels = new Uint32Array(picture.data.buffer, picture.data.byteOffset, width * height);
  const [across, down] = turns % 2 ? [height, width] : [width, height];
  const out = new Uint32Array(width * height);
  for (let v = 0, k = 0; v < down; v++) {
    for (let u = 0; u < across; u++, k++) {
      const [x, y] = [[u, v], [width - 1 - v, u], [width - 1 - u, height - 1 - v], [v, height - 1 - u]][turns];
      out[k] = pixels[y * width + x];
    }
  }
  return { data: new Uint8ClampedArray(out.buffer), width: across, height: down };
}

/** RGB bytes, row by row, filled up with black on the right and below to `width` x `height`. */
export function rgb(picture, width = picture.width, height = picture.height) {
  const bytes = new Uint8Array(width * height * 3);
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0, i = y * picture.width * 4, out = y * width * 3; x < picture.width; x++, i += 4) {
      bytes[out++] = picture.data[i];
      bytes[out++] = picture.data[i + 1];
      bytes[out++] = picture.data[i + 2];
    }
  }
  return bytes;
}
