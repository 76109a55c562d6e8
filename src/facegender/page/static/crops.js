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

/** Crop pixels per pixel of the photo. */
export function cropScale(points, template, size) {
  const [a, b] = similarity(points, template, size);
  return Math.hypot(a, b);
}

/**
 * Cut one face out: RGB bytes, size x size. Parts beyond the photo repeat its border.
 *
 * @param {import("./faces.js").Picture} picture
 * @param {number[][]} points the landmarks, in pixels of the full photo
 */
export function cropFace({ bitmap, width, height }, points, template, size) {
  const [scaleX, scaleY] = [bitmap.width / width, bitmap.height / height];
  const [fullA, fullB, fullC, fullD, x, y] = similarity(points, template, size);
  const [a, b, c, d] = [fullA / scaleX, fullB / scaleY, fullC / scaleX, fullD / scaleY];
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
    // Averaged even where a narrow part loses rows only.
    part = resized(part, Math.max(1, round(part.width * scale)), Math.max(1, round(part.height * scale)), true);
  }
  const [wide, high] = [(right - left) / part.width, (bottom - top) / part.height];
  // From the centres of the part's pixels to those of the crop's.
  return warped(part, [
    a * wide, b * high, a * left + b * top + x + (a * wide + b * high) / 2 - 0.5,
    c * wide, d * high, c * left + d * top + y + (c * wide + d * high) / 2 - 0.5,
  ], size);
}

/** The whole pixels from the least to the greatest edge that lie in the photo; at least one. */
function span(edges, length) {
  const first = Math.min(Math.max(Math.floor(Math.min(...edges)), 0), length - 1);
  return [first, Math.max(Math.min(Math.ceil(Math.max(...edges)), length), first + 1)];
}

/** OpenCV's warpAffine, bilinear; places are rounded to 32 bits where it rounds them. */
function warped({ data, width, height }, [a, b, x0, c, d, y0], size) {
  const f = Math.fround;
  const determinant = a * d - b * c;
  const [backA, backB, backC, backD] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  const [fromX, fromY] = [f(-backA * x0 - backB * y0), f(-backC * x0 - backD * y0)];
  const [ax, bx, cx, dx] = [backA, backB, backC, backD].map(f);
  const bytes = new Uint8ClampedArray(size * size * 3);
  const inside = (value, length) => Math.min(Math.max(value, 0), length - 1);
  for (let v = 0, out = 0; v < size; v++) {
    for (let u = 0; u < size; u++) {
      const x = f(f(u * ax) + f(f(v * bx) + fromX));
      const y = f(f(u * cx) + f(f(v * dx) + fromY));
      const [column, row] = [Math.floor(x), Math.floor(y)];
      const [right, below] = [f(x - column), f(y - row)];
      const [column0, column1] = [inside(column, width), inside(column + 1, width)];
      const [row0, row1] = [inside(row, height) * width, inside(row + 1, height) * width];
      const [i00, i01] = [(row0 + column0) * 4, (row0 + column1) * 4];
      const [i10, i11] = [(row1 + column0) * 4, (row1 + column1) * 4];
      for (let k = 0; k < 3; k++) {
        const above = f(data[i00 + k] + right * (data[i01 + k] - data[i00 + k]));
        const under = f(data[i10 + k] + right * (data[i11 + k] - data[i10 + k]));
        bytes[out++] = f(above + below * f(under - above)); // the array rounds
      }
    }
  }
  return new Uint8Array(bytes.buffer);
}
