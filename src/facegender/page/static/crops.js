// From a face in a photo to its 64x64 crop, as facegender.faces.align cuts it.

import { read, resized, round } from "./pixels.js";

/** Crop pixels around the needed region, so that interpolation never meets the region's own border. */
const MARGIN = 2;

/** The similarity [a, b, c, d, x, y] that takes five landmarks nearest to the template's (Umeyama, TPAMI 1991). */
export function similarity(points, template, size) {
  const centre = (list) => [0, 1].map((k) => list.reduce((sum, point) => sum + point[k], 0) / list.length);
  const there = template.map(([x, y]) => [x * size, y * size]);
  const [hereX, hereY] = centre(points);
  const [thereX, thereY] = centre(there);
  let real = 0, imaginary = 0, spread = 0;
  points.forEach(([x, y], k) => {
    const [px, py] = [x - hereX, y - hereY];
    const [qx, qy] = [there[k][0] - thereX, there[k][1] - thereY];
    real += px * qx + py * qy;
    imaginary += px * qy - py * qx;
    spread += px * px + py * py;
  });
  const [a, c] = [real / spread, imaginary / spread];
  return [a, -c, c, a, thereX - (a * hereX - c * hereY), thereY - (c * hereX + a * hereY)];
}

/**
 * Cut one face out: RGB bytes, size x size. Parts beyond the photo repeat its border.
 *
 * @param {ImageBitmap} bitmap
 */
export function cropFace(bitmap, points, template, size) {
  const [a, b, c, d, x, y] = similarity(points, template, size);
  const determinant = a * d - b * c;
  const scale = Math.sqrt(Math.abs(determinant));
  const edges = [-MARGIN, size + MARGIN];
  const corners = edges.flatMap((v) => edges.map((u) => [
    (d * (u - x) - b * (v - y)) / determinant,
    (-c * (u - x) + a * (v - y)) / determinant,
  ]));
  const [left, right] = span(corners.map((corner) => corner[0]), bitmap.width);
  const [top, bottom] = span(corners.map((corner) => corner[1]), bitmap.height);
  let part = read(bitmap, left, top, right - left, bottom - top);
  // Bilinear sampling looks at 2x2 pixels only; averaging first makes every pixel of the face count.
  if (scale < 1) {
    part = resized(part, Math.max(1, round(part.width * scale)), Math.max(1, round(part.height * scale)));
  }
  const [wide, high] = [(right - left) / part.width, (bottom - top) / part.height];
  return warped(part, {
    // From the centres of the crop's pixels back to those of the part's.
    matrix: [d / determinant / wide, -b / determinant / wide, -c / determinant / high, a / determinant / high],
    offset: [(-(d * x - b * y) / determinant - left) / wide, (-(a * y - c * x) / determinant - top) / high],
  }, size);
}

/** The whole pixels from the least to the greatest edge that lie in the photo; at least one. */
function span(edges, length) {
  const first = Math.min(Math.max(Math.floor(Math.min(...edges)), 0), length - 1);
  return [first, Math.max(Math.min(Math.ceil(Math.max(...edges)), length), first + 1)];
}

function warped(part, { matrix: [a, b, c, d], offset: [x0, y0] }, size) {
  const { data, width, height } = part;
  const bytes = new Uint8ClampedArray(size * size * 3);
  const inside = (value, length) => Math.min(Math.max(value, 0), length - 1);
  for (let v = 0, out = 0; v < size; v++) {
    for (let u = 0; u < size; u++) {
      const x = a * (u + 0.5) + b * (v + 0.5) + x0 - 0.5;
      const y = c * (u + 0.5) + d * (v + 0.5) + y0 - 0.5;
      const [column, row] = [Math.floor(x), Math.floor(y)];
      const [right, below] = [x - column, y - row];
      const [column0, column1] = [inside(column, width), inside(column + 1, width)];
      const [row0, row1] = [inside(row, height) * width, inside(row + 1, height) * width];
      const [i00, i01] = [(row0 + column0) * 4, (row0 + column1) * 4];
      const [i10, i11] = [(row1 + column0) * 4, (row1 + column1) * 4];
      for (let k = 0; k < 3; k++) {
        const above = data[i00 + k] * (1 - right) + data[i01 + k] * right;
        const under = data[i10 + k] * (1 - right) + data[i11 + k] * right;
        bytes[out++] = above * (1 - below) + under * below;
      }
    }
  }
  return new Uint8Array(bytes.buffer);
}
