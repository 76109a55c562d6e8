// The facts about a model: its terms, how well it did on each test set, and the groups that it fails.

import { $, element } from "./dom.js";
import { percent } from "./words.js";

const PARTS = { all: "never trained on", test: "test part" };
/** Smaller groups say too little. */
const FEWEST = 30;
const SHOWN = 12;

export function trainedOn({ training_data }, names) {
  return training_data.split("+").map((dataset) => names[dataset] ?? dataset).join(", ");
}

/** Fill the tables for this model and the accepted error; with what readers see of a dataset, by its name. */
export function describe(card, accepted, names) {
  const named = (dataset) => names[dataset] ?? dataset;
  const tests = Object.entries(card.accuracy ?? {});
  $("tests").replaceChildren(...tests.map(([test, scores]) => {
    const [dataset, part] = test.split(" ");
    const answered = scores.answered?.[accepted];
    return row(`${named(dataset)} (${PARTS[part] ?? part})`, [
      scores.count.toLocaleString("en"),
      percent(scores.accuracy),
      percent(scores.female_accuracy),
      percent(scores.tpr),
      answered ? percent(answered.coverage) : "–",
      answered ? percent(answered.error) : "–",
    ]);
  }));
  $("tests-answered").textContent = `answered at ${percent(Number(accepted)).replace(".0", "")}`;
  $("source").textContent = card.rates
    ? `The validation faces are from ${card.rates.source}. The model was not trained on them.` : "";

  const groups = card.groups.filter(({ count }) => count >= FEWEST).sort((a, b) => a.accuracy - b.accuracy);
  $("weak").hidden = !groups.length;
  if (!groups.length) return;
  const [worst] = groups;
  $("worst").textContent =
    `Worst: ${named(worst.dataset)}, ${worst.group.replace(" x ", " × ")}: right for ${percent(worst.accuracy)} of ${worst.count} faces`;
  $("groups").replaceChildren(...groups.slice(0, SHOWN).map(({ dataset, group, count, accuracy, low, high }) =>
    row(group.replaceAll(" x ", " × "), [named(dataset), count.toLocaleString("en"), percent(accuracy), `${percent(low)} to ${percent(high)}`])));
}

function row(heading, cells) {
  return element("tr", {}, element("th", { scope: "row" }, heading),
    ...cells.map((cell) => element("td", { class: "figure" }, cell)));
}
