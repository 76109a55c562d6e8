// Where the faces are: all steps before and after the detector's network, as facegender.inference.detector and facegender.faces have it.
// All numbers come from models.json, where Python writes its own.

import { resized, rgb, round, shrunk } from "./pixels.js";

/**
 * A photo with as many of its pixels as are needed, as facegender.faces.types.Picture.
 *
 * @typedef {{bitmap: ImageBitmap, width: number, height: number}} Picture width and height are those of the full photo
 */

/** The longest side of a photo, or of the part of a long one that is taken for a photo. */
function partOf(width, height, { long }) {
  return Math.min(Math.max(width, height), long * Math.min(width, height));
}

/** The scale at which a photo of this size is searched, in pixels per pixel of the photo. */
export function scaleFor(width, height, settings) {
  const part = partOf(width, height, settings);
  const side = Math.min(settings.usual_scale * part, settings.longest_side);
  const { multiple } = settings;
  const whole = side < settings.filled_up_to ? side : Math.floor(side / multiple) * multiple;
  return Math.min(whole / part, settings.longest_strip / Math.max(width, height));
}

/** The scale at which it is first searched once it is turned. */
export function firstScaleFor(width, height, settings) {
  const { first_look: side, first_face: face, smallest_face: reliable } = settings;
  return Math.min(scaleFor(width, height, settings), side / partOf(width, height, settings), reliable / face);
}

/**
 * The images of a photo that the network looks at, from a scale down, largest first. A level with more than `tile`
 * pixels a side is cut; each tile answers for the faces with their centre in its `core`, in pixels of the photo.
 *
 * @param {Picture} photo
 */
export function* tiles(photo, scale, settings) {
  const { bitmap } = photo;
  const [zoomX, zoomY] = [photo.width / bitmap.width, photo.height / bitmap.height];
  let whole = null;
  for (;;) {
    const width = Math.max(1, round(photo.width * scale));
    const height = Math.max(1, round(photo.height * scale));
    let picture;
    for (const y of spans(bitmap.height, height, settings)) {
      for (const x of spans(bitmap.width, width, settings)) {
        picture = whole
          ? resized(whole, x.length, y.length)
          : shrunk(bitmap, [x.begin, x.end], [y.begin, y.end], x.length, y.length);
        yield {
          picture,
          corner: [x.begin * zoomX, y.begin * zoomY],
          zoom: [((x.end - x.begin) / x.length) * zoomX, ((y.end - y.begin) / y.length) * zoomY],
          core: [x.core.map((place) => place * zoomX), y.core.map((place) => place * zoomY)],
        };
      }
    }
    if (Math.max(width, height) <= settings.last_level) return;
    whole = Math.max(width, height) <= settings.tile ? picture : null;
    scale /= settings.step;
  }
}

/** The tiles along a side of this length, in pixels, scaled to the pixels of a level. */
function spans(side, level, { tile, tile_margin: margin, tile_shared: shared }) {
  if (level <= tile) return [{ begin: 0, end: side, length: level, core: [0, side] }];
  const zoom = side / level;
  const count = Math.ceil(level / (tile - 2 * margin));
  const own = level / count;
  return Array.from({ length: count }, (_, i) => {
    const [start, stop] = [i * own, (i + 1) * own];
    const begin = Math.max(0, Math.floor((start - margin) * zoom));
    const end = Math.min(side, Math.ceil((stop + margin) * zoom));
    const core = [Math.max(0, (start - shared) * zoom), Math.min(side, (stop + shared) * zoom)];
    return { begin, end, length: Math.max(1, round((end - begin) / zoom)), core };
  });
}

/** What the network takes: RGB bytes with both sides multiples of its own. */
export function input(picture, multiple) {
  const width = Math.ceil(picture.width / multiple) * multiple;
  const height = Math.ceil(picture.height / multiple) * multiple;
  return { bytes: rgb(picture, width, height), width, height };
}

/** The faces that the cells of one image encode: { box, points, score }, in its pixels. */
export function readCells(cells, height, width, settings) {
  const found = [];
  const count = settings.strides.reduce((sum, stride) => sum + (height / stride) * (width / stride), 0);
  if (cells.length !== 15 * count) throw new Error(`the detector gives ${cells.length} values for ${count} cells`);
  let cell = 0;
  for (const stride of settings.strides) {
    for (let y = 0; y < height / stride; y++) {
      for (let x = 0; x < width / stride; x++, cell++) {
        if (!(cells[cell] >= settings.min_score)) continue;
        const value = (k) => cells[k * count + cell];
        const size = (k) => Math.exp(Math.min(Math.max(value(k), -6), 6)) * stride;
        const [centreX, centreY] = [(x + 0.5) * stride, (y + 0.5) * stride];
        const [w, h] = [size(3), size(4)];
        const box = [centreX + value(1) * stride - w / 2, centreY + value(2) * stride - h / 2, w, h];
        const points = [0, 1, 2, 3, 4].map((k) => [
          centreX + value(5 + 2 * k) * stride,
          centreY + value(6 + 2 * k) * stride,
        ]);
        found.push({ box, points, score: value(0) });
      }
    }
  }
  return found;
}

/** The faces of a tile's picture where they were before it was turned against the clock. */
function turnedBack(found, turns, { width, height }) {
  let [across, down] = turns % 2 ? [height, width] : [width, height];
  for (let turn = 0; turn < turns; turn++) {
    const side = down;
    found = found.map(({ box: [x, y, w, h], points, score }) => ({
      box: [side - y - h, x, h, w],
      points: points.map(([px, py]) => [side - py, px]),
      score,
    }));
    [across, down] = [down, across];
  }
  return found;
}

/** The tile's own faces, found after this number of quarter turns of its picture, in pixels of the photo. */
export function toPhoto(found, turns, { picture, corner, zoom, core }) {
  const place = (value, axis) => value * zoom[axis] + corner[axis];
  return turnedBack(found, turns, picture)
    .map(({ box: [x, y, w, h], points, score }) => ({
      box: [place(x, 0), place(y, 1), w * zoom[0], h * zoom[1]],
      points: points.map(([px, py]) => [place(px, 0), place(py, 1)]),
      score,
    }))
    .filter(({ box }) => core.every(([first, last], axis) => {
      const centre = box[axis] + box[axis + 2] / 2;
      return centre >= first && centre < last;
    }));
}

/** Intersection over union of two boxes. */
function overlap([x, y, w, h], [x2, y2, w2, h2]) {
  const across = Math.min(x + w, x2 + w2) - Math.max(x, x2);
  const down = Math.min(y + h, y2 + h2) - Math.max(y, y2);
  const common = Math.max(across, 0) * Math.max(down, 0);
  return common / Math.max(w * h + w2 * h2 - common, 1e-6);
}

/** Each face once, of those found after each number of quarter turns. */
export function merged(found, turns, settings) {
  const sound = found.filter(
    ({ box, points, score }) =>
      [...box, ...points.flat(), score].every(Number.isFinite) &&
      box[2] > 0 && box[3] > 0 &&
      points.some(([x, y]) => x !== points[0][0] || y !== points[0][1]),
  );
  const kept = [];
  for (const face of [...sound].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(face.box, other.box) <= settings.same_face)) kept.push(face);
  }
  return kept.map((face) => ({ ...blended(face, sound, settings), turned: 90 * turns }));
}

/** All faces of a photo, of those found upright and those found after it was turned. */
export function withTurned(upright, turned, settings) {
  const counts = (face) =>
    face.score >= settings.turned || upright.some((other) => overlap(face.box, other.box) > settings.same_face);
  return eachOnce([...upright, ...turned.filter(counts)], settings);
}

/** Of faces found in several ways up, each in the one where its score is highest; largest first. */
export function eachOnce(faces, settings) {
  const kept = [];
  for (const face of [...faces].sort((a, b) => b.score - a.score)) {
    const others = kept.filter((other) => other.turned !== face.turned);
    if (others.every((other) => overlap(face.box, other.box) <= settings.same_face)) kept.push(face);
  }
  return kept.sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3] || b.score - a.score);
}

/** Place and landmarks averaged over all detections of the same face; steadier than any one of them. */
function blended(face, all, settings) {
  const same = all.filter((other) => overlap(face.box, other.box) >= settings.blended);
  const total = same.reduce((sum, { score }) => sum + score ** 2, 0);
  const mean = (of) => same.reduce((sum, other) => sum + of(other) * other.score ** 2, 0) / total;
  const place = (value) => round(value * settings.parts_of_pixel) / settings.parts_of_pixel;
  return {
    box: face.box.map((_, k) => mean((other) => other.box[k])),
    points: face.points.map((_, k) => [0, 1].map((axis) => place(mean((other) => other.points[k][axis])))),
    score: Math.min(Math.max(face.score, 0), 1),
  };
}

/** How far a head is rolled clockwise, in degrees, and how unlike a face its landmarks lie: facegender.faces.pose. */
function pose(points, { mean_shape: mean }) {
  const centre = (list, axis) => list.reduce((sum, point) => sum + point[axis], 0) / list.length;
  const placed = (list) => list.map(([x, y]) => [x - centre(list, 0), y - centre(list, 1)]);
  const spread = (list) => list.reduce((sum, [x, y]) => sum + x * x + y * y, 0);
  const [here, there] = [placed(points), placed(mean)];
  const real = here.reduce((sum, [x, y], k) => sum + x * there[k][0] + y * there[k][1], 0);
  const imaginary = here.reduce((sum, [x, y], k) => sum + y * there[k][0] - x * there[k][1], 0);
  const both = spread(here) * spread(there);
  return {
    roll: (Math.atan2(imaginary, real) * 180) / Math.PI,
    misfit: both === 0 ? 1 : Math.sqrt(Math.max(0, 1 - (real * real + imaginary * imaginary) / both)),
  };
}

/** The way up of a face, for a detector that finds it in any: the nearest quarter turn, in degrees clockwise. */
export function wayUp(face, settings) {
  return (((90 * Math.round(pose(face.points, settings).roll / 90)) % 360) + 360) % 360;
}

/** How much of a face there is to judge, in [0, 1]: facegender.faces.types.Face.quality. */
export function quality({ box, points, turned }, settings) {
  const { roll, misfit } = pose(points, settings);
  const rolled = ((((roll - turned + 180) % 360) + 360) % 360) - 180;
  if (Math.abs(rolled) > settings.full_roll || misfit > settings.full_misfit) return 0;
  const side = Math.sqrt(box[2] * box[3]);
  const [[rightX, rightY], [leftX, leftY], [noseX, noseY]] = points;
  const [axisX, axisY] = [leftX - rightX, leftY - rightY];
  const square = axisX ** 2 + axisY ** 2;
  const along = ((noseX - (rightX + leftX) / 2) * axisX + (noseY - (rightY + leftY) / 2) * axisY) / square;
  const yaw = square === 0 ? 90 : (Math.atan(along / settings.nose_depth) * 180) / Math.PI;
  return Math.max(0, Math.min(side / settings.full_quality_side, 1 - Math.abs(yaw) / 90, 1));
}
