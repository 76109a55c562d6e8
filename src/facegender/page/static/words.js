// What the page says of numbers: answers, probabilities, counts, and the error rates of similar faces.

/** With a space at which no line ends. */
const PERCENT = "\u00a0%";

export const LABELS = ["female", "male", "uncertain"];

/** Below this quality a face is smaller than 24 pixels or turned by more than about 45 degrees. */
export const LOW_QUALITY = 0.5;
const TINY = 24;

const likelier = (p_male) => (p_male >= 0.5 ? "male" : "female");

/** The probability of the likelier answer in steps of 0.0001, as a whole number: 1 - 0.03 lies a little below 0.97. */
const steps = (p_male) => Math.round(1e4 * Math.max(p_male, 1 - p_male));

/** The answer to a face where the more likely one must have this probability; of quality 0 none is known. */
export function label({ p_male, quality }, confidence) {
  return quality === 0 || steps(p_male) / 1e4 < confidence ? "uncertain" : likelier(p_male);
}

/** "92 % male": the more likely answer, rounded down and never 100 %, a certainty that no model has. */
export function probable(p_male) {
  return `${Math.min(99, Math.floor(steps(p_male) / 100))}${PERCENT} ${likelier(p_male)}`;
}

/** A share in percent: "0.4 %", "3.1 %", "58 %". */
export function percent(share) {
  const value = 100 * share;
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)}${PERCENT}`;
}

/** "1 face", "2 faces". */
export function counted(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}

/** How often each answer was given: { female, male, uncertain }. */
export function counts(labels) {
  const found = { female: 0, male: 0, uncertain: 0 };
  for (const each of labels) found[each] += 1;
  return found;
}

/** "2 female, 1 uncertain". */
export function listed(labels) {
  const found = counts(labels);
  return LABELS.filter((each) => found[each]).map((each) => `${found[each]} ${each}`).join(", ");
}

/** "3 faces found in party.jpg: 2 female, 1 uncertain". */
export function announced(name, labels) {
  if (!labels.length) return `No face found in ${name}`;
  return `${counted(labels.length, "face")} found in ${name}: ${listed(labels)}`;
}

/** Why a photo has no answer, with its name; `file` says what it claims to be. */
export function failure({ kind, message }, file) {
  if (kind === "pixel_limit") return `${file.name} is too large: ${message}`;
  if (kind !== "not_an_image") return `${file.name} could not be analysed: ${message}`;
  if (!file.size) return `${file.name} is empty`;
  if (/^image\/hei[cf]/i.test(file.type) || /\.hei[cf]$/i.test(file.name)) {
    return `${file.name} is a HEIC photo, which this browser cannot read: save it as JPEG first`;
  }
  return `${file.name} is not a picture that this browser can read, or it is damaged`;
}

/** How many validation faces of this quality and p_male were labelled female and male; null where it is not known. */
export function alike(rates, { quality, p_male }) {
  if (!rates) return null;
  const [row, column] = [bin(rates.qualities, quality), bin(rates.scores, p_male)];
  return { female: rates.female[row][column], male: rates.male[row][column] };
}

/** The place of a value between rising bounds; those beyond the ends belong to the outermost bins. */
function bin(bounds, value) {
  const above = bounds.findIndex((bound) => bound > value);
  return above === -1 ? bounds.length - 2 : Math.max(above - 1, 0);
}

/** The answer that would be wrong, and how many validation faces like this one were labelled so. */
export function otherwise({ female, male }, p_male) {
  return p_male >= 0.5 ? ["female", female] : ["male", male];
}

/** How often faces like this one were labelled otherwise, in a sentence. */
export function evidence(rates, face) {
  const found = alike(rates, face);
  if (!found) return "How often answers like this one are wrong is not known for this model.";
  const all = found.female + found.male;
  if (!all) return "No validation face had this quality and probability.";
  const [other, wrong] = otherwise(found, face.p_male);
  const [low, high] = interval(wrong, all);
  const share = wrong ? `${percent(wrong / all)} were labelled ${other}` : `none was labelled ${other}`;
  const span = `95${PERCENT} interval ${percent(low).replace(PERCENT, "")} to ${percent(high)}`;
  return `Of ${counted(all, "validation face")} of this quality and probability, ${share} (${span}).`;
}

/** Wilson's 95 % interval of a share. */
function interval(some, all) {
  const [z, share] = [1.959964, some / all];
  const middle = share + z ** 2 / (2 * all);
  const reach = z * Math.sqrt((share * (1 - share)) / all + z ** 2 / (4 * all ** 2));
  return [middle - reach, middle + reach].map((end) => Math.min(1, Math.max(0, end / (1 + z ** 2 / all))));
}

/** What makes a face hard to judge, or "". */
export function warning({ box: [, , width, height], quality }) {
  if (quality >= LOW_QUALITY) return "";
  if (quality === 0) return "No answer: the face is turned further, or less of it can be recognised, than in any test.";
  const side = Math.sqrt(width * height);
  if (side < TINY) return `Low quality: the face is only ${Math.round(side)} pixels wide.`;
  return "Low quality: the face is turned away, or half of it is hidden.";
}
