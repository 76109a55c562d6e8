// The records that are copied and saved: those of the Python tool, number for number.

const COLUMNS = [
  ..."path width height weight face x y w h score quality p_male label error_kind error_message".split(" "),
];
/** Columns that Python writes as floats: 12.0, not 12. */
const FLOATS = new Set("weight x y w h score quality p_male".split(" "));

/** Rounded as Python rounds: a tie goes to the even digit. */
export function rounded(value, digits) {
  const scaled = value * 10 ** digits;
  const tie = Number.isInteger(value * 2 ** (digits + 1)) && Math.abs(scaled % 1) === 0.5;
  return tie ? (2 * Math.round(scaled / 2)) / 10 ** digits : Number(value.toFixed(digits));
}

/** What `PhotoResult.to_dict` gives: one photo, its faces with `labels`, or its error; quality and p_male are rounded. */
export function record(path, { width, height, faces, error, notes = [] }, labels) {
  return {
    path,
    width,
    height,
    weight: 1.0,
    faces: faces.map((face, k) => ({
      box: face.box.map((value) => rounded(value, 1)),
      score: rounded(face.score, 4),
      quality: face.quality,
      landmarks: face.landmarks.map((point) => point.map((value) => rounded(value, 1))),
      p_male: face.p_male,
      label: labels[k],
    })),
    error,
    ...(notes.length ? { notes } : {}),
  };
}

/** JSON Lines: one object a photo. */
export function toJsonLines(records) {
  return records.map((each) => `${JSON.stringify(each)}\n`).join("");
}

/** One row a face; a photo without faces, or with an error, has one too. Text is what it is, as in Python's CSV. */
export function toCsv(records) {
  return table(records, ",", (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text));
}

/** The same rows for the clipboard. */
export function toTsv(records) {
  return table(records, "\t", (text) => text.replace(/\s/g, " "));
}

function table(records, separator, quoted) {
  const lines = [COLUMNS, ...records.flatMap(rows)];
  return lines.map((line) => `${line.map(quoted).join(separator)}\n`).join("");
}

function rows({ path, width, height, weight, faces, error }) {
  const common = { path, width, height, weight, error_kind: error?.kind, error_message: error?.message };
  const each = faces.map(({ box: [x, y, w, h], ...face }, k) => ({ ...common, ...face, face: k, x, y, w, h }));
  return (each.length ? each : [common]).map((row) => COLUMNS.map((name) => written(name, row[name])));
}

function written(name, value) {
  if (value === undefined || value === null) return "";
  return FLOATS.has(name) && Number.isInteger(value) ? value.toFixed(1) : String(value);
}
