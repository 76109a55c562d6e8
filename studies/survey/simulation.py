"""Do the intervals of `facegender survey` hold? Collections of known composition, of faces no network learned from.

    python studies/survey/simulation.py FOLDER

FOLDER is what studies/survey/faces.py wrote. Every collection is a random sample of held-back test faces; how many of
them are women's is drawn with a known probability, the prevalence, which the interval has to hold. Error rates are

other half      of another random half of the same test faces: nothing is shifted, all that is promised must hold
shipped         those that lie beside the weights, from validation photos
labelled 200    that many faces of the collection itself (at most half of it), drawn at random, as for --labelled;
labelled 500    the same

and collections are of all held-back sets (in the proportions of the validation faces), or shifted: faces of 12 to 24
pixels, photos a quarter to a half as bright, Black people, people under 20, or LFW, which no network has seen.

One more kind of collection has photos of one to four people, among them many couples. There the shares of photos that
show a woman, or a man, are tested.

Coverage is the share of 95 % intervals that hold the prevalence; bias, error and width are in points of a per cent.
`em` is Saerens, Latinne and Decaestecker's on the calibrated probabilities, `count` the adjusted count of
answers at 0.5 without regard to quality; neither is in the tool, and here neither has an interval.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from facegender.lab.study import study_parser, write_results
from facegender.progress import track
from facegender.survey.estimate import survey
from facegender.survey.labels import Labelled
from facegender.survey.measuring import count_rates, local_rates
from facegender.survey.prevalence import METHODS
from facegender.survey.rates import ErrorRates, shipped_rates
from facegender.survey.results import Results, read_results

_PREVALENCES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_SHIFTED_PREVALENCES = (0.05, 0.25, 0.5, 0.75, 0.95)
_REPLICATES = 400
_SHIFTS = ("shipped", "labelled 200", "labelled 500")
_COLLECTIONS = {
    "held back": ("other half", "shipped"),
    "smaller": _SHIFTS,
    "darker photos": _SHIFTS,
    "darker skin": _SHIFTS,
    "younger": _SHIFTS,
    "LFW": _SHIFTS,
    "photos of 1 to 4": ("other half",),
}
_MOST = 1000
_CHILDREN = {"0-2", "3-9", "10-19", *map(str, range(20))}

_COLUMNS = (
    *("model", "collection", "rates", "labelled", "method", "prevalence", "faces", "repetitions", "coverage", "width"),
    *("bias", "root_mean_square_error", "plain_bias", "plain_root_mean_square_error", "warned"),
)


@dataclass(frozen=True)
class Pool:
    """Faces to make collections of: a table with quality, p_male, label (the answer), truth (0 female, 1 male)."""

    name: str
    faces: pd.DataFrame

    def drawn(self, count: int, prevalence: float, rng: np.random.Generator) -> pd.DataFrame:
        """A collection without repeated photos; photos of each gender as likely as their column `chance` says."""
        women = rng.binomial(count, prevalence)
        return pd.concat([self.some(0, women, rng), self.some(1, count - women, rng)], ignore_index=True)

    def some(self, truth: int, count: int, rng: np.random.Generator) -> pd.DataFrame:
        """So many women (0) or men (1)."""
        there = self.faces[self.faces["truth"] == truth]
        chance = there["chance"].to_numpy()
        return there.iloc[rng.choice(len(there), count, replace=False, p=chance / chance.sum())]

    @property
    def size(self) -> int:
        """How many faces a collection can have, whatever its prevalence."""
        return min(_MOST, int(np.bincount(self.faces["truth"], minlength=2).min() * 0.8))


def main() -> None:
    parser = study_parser(__doc__, "survey/simulation.csv")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    jobs = [
        (arguments.folder, model, name, rates, prevalence, arguments.repetitions)
        for model in ("research", "open")
        for name, every in _COLLECTIONS.items()
        for rates in every
        for prevalence in (_PREVALENCES if name == "held back" else _SHIFTED_PREVALENCES)
    ]
    with ProcessPoolExecutor(arguments.jobs) as executor:
        rows = list(track(executor.map(run, jobs), "simulating", total=len(jobs)))
    write_results(arguments.output, chain(*rows), columns=_COLUMNS)


def run(job: tuple[Path, str, str, str, float, int]) -> list[dict[str, object]]:
    """The rows of one collection, kind of rates and prevalence."""
    folder, model, name, kind, prevalence, repetitions = job
    shipped, everything = loaded(folder, model)
    if name == "photos of 1 to 4":
        rows = simulate_photos(everything["held back"], prevalence, repetitions // 2)
    else:
        few = repetitions if kind == "other half" else repetitions // 4
        rows = simulate(everything[name], kind, shipped, prevalence, few)
    print(*job[1:5], *(f"{row['method']} {row['coverage']} {row['bias']}," for row in rows[:2]), flush=True)
    return [{"model": model, "collection": name, "rates": kind} | row for row in rows]


@cache
def loaded(folder: Path, model: str) -> tuple[ErrorRates, dict[str, Pool]]:
    """The shipped rates and all faces."""
    shipped = shipped_rates(read_results([folder / model / "test.jsonl"]))
    return shipped, {pool.name: pool for pool in pools(known_faces(folder, model, shipped))}


def known_faces(folder: Path, model: str, shipped: ErrorRates) -> pd.DataFrame:
    """The labelled faces that were found, of the sets that the rates are of, and LFW.

    Their `chance` makes the sets weigh what they weigh in the validation.
    """
    parts = []
    for split in ("validation", "test"):
        collection = read_results([folder / model / f"{split}.jsonl"])
        labels = pd.read_csv(folder / f"{split}.csv", dtype={"age": str, "race": str}).dropna(subset=["face"])
        labels["photo"] = labels["path"].map({path: i for i, path in enumerate(collection.photos["path"])})
        faces = labels.drop(columns="label").assign(truth=(labels["label"] == "male").astype(int))
        parts.append(faces.astype({"face": int}).merge(collection.faces, on=["photo", "face"]))
    validation, test = parts
    sets = shipped.source.removeprefix("validation photos of ").split(", half")[0].split(", ")
    test = test[test["dataset"].isin([*sets, "lfw"])]
    had = validation[validation["dataset"].isin(sets)].groupby(["dataset", "truth"]).size()
    mixed = test[test["version"] == "mixed"].groupby(["dataset", "truth"]).size()
    chance = (had / mixed).dropna().to_dict()
    return test.assign(chance=[chance.get(key, 1.0) for key in zip(test["dataset"], test["truth"], strict=True)])


def pools(faces: pd.DataFrame) -> list[Pool]:
    """Everybody, and the shifts."""
    ours = faces[faces["dataset"] != "lfw"]
    mixed = ours[ours["version"] == "mixed"]
    return [
        Pool("held back", mixed),
        Pool("smaller", ours[ours["version"] == "small"]),
        Pool("darker photos", ours[ours["version"] == "dark"]),
        Pool("darker skin", mixed[mixed["race"] == "Black"]),
        Pool("younger", mixed[mixed["age"].isin(_CHILDREN)]),
        Pool("LFW", faces[(faces["dataset"] == "lfw") & (faces["version"] == "plain")]),
    ]


def simulate(
    pool: Pool, kind: str, shipped: ErrorRates, prevalence: float, repetitions: int
) -> list[dict[str, object]]:
    """One row a method: the results over all collections."""
    rng = np.random.default_rng([2020, round(1000 * prevalence), sum(map(ord, pool.name + kind))])
    found: dict[str, list[tuple[float, float, float, bool]]] = {name: [] for name in (*METHODS, "em", "count")}
    plain = []
    count = pool.size // 2 if kind == "other half" else pool.size
    for repetition in range(repetitions):
        rates, source, known = shipped, pool, None
        if kind == "other half":
            source, rates = halved(pool, rng)
        collection = source.drawn(count, prevalence, rng)
        if kind.startswith("labelled"):
            sample = rng.choice(count, min(int(kind.split()[1]), count // 2), replace=False)
            if collection["truth"].iloc[sample].value_counts().reindex([0, 1], fill_value=0).min() < 5:
                continue  # the tool would refuse
            truth = collection["truth"].to_numpy(np.int64)[sample]
            known = Labelled(sample, truth, np.ones(len(sample)), (0, 0), 0)
            rates = local_rates(as_collection(collection), known, source="labels", command="")
        for method in METHODS:
            outcome = survey(
                as_collection(collection), rates, method=method, replicates=_REPLICATES, seed=repetition, labelled=known
            ).everyone
            found[method].append((outcome.women, outcome.women_low, outcome.women_high, outcome.misfit))
        plain.append(outcome.plain_women)
        p_male = collection["p_male"].to_numpy()
        if not kind.startswith("labelled"):  # it knows no labels, only the prior at which the answers are calibrated
            found["em"].append((saerens(p_male, rates), np.nan, np.nan, False))
        found["count"].append((adjusted_count(p_male, rates), np.nan, np.nan, False))
    labelled = {"labelled": min(int(kind.split()[1]), count // 2)} if kind.startswith("labelled") else {}
    return [summary(method, prevalence, count, some, plain) | labelled for method, some in found.items() if some]


def summary(
    method: str, truth: float, count: int, outcomes: list[tuple[float, float, float, bool]], plain: list[float]
) -> dict[str, object]:
    """One row: of estimates with their ends and whether the tool warned; ends are nan where there are none."""
    values = np.array(outcomes, float)
    off, plain_off = 100 * (values[:, 0] - truth), 100 * (np.array(plain) - truth)
    inside = (values[:, 1] <= truth) & (truth <= values[:, 2])
    known = not np.isnan(values[:, 1]).any()
    return {
        "method": method,
        "prevalence": round(truth, 4),
        "faces": count,
        "repetitions": len(values),
        "coverage": round(float(inside.mean()), 4) if known else "",
        "width": round(float(100 * (values[:, 2] - values[:, 1]).mean()), 2) if known else "",
        "bias": round(float(off.mean()), 2),
        "root_mean_square_error": round(float(np.sqrt((off**2).mean())), 2),
        "plain_bias": round(float(plain_off.mean()), 2),
        "plain_root_mean_square_error": round(float(np.sqrt((plain_off**2).mean())), 2),
        "warned": round(float(values[:, 3].mean()), 3) if known else "",
    }


def halved(pool: Pool, rng: np.random.Generator) -> tuple[Pool, ErrorRates]:
    """One half to draw from, and error rates from the other, in the proportions of what is drawn."""
    half = rng.random(len(pool.faces)) < 0.5
    other = pool.faces[~half]
    kept = rng.random(len(other)) < other["chance"] / other["chance"].max()
    return Pool(pool.name, pool.faces[half]), rates_of(other[kept])


def simulate_photos(pool: Pool, prevalence: float, repetitions: int) -> list[dict[str, object]]:
    """Photos of one person (half of them), of two (most of them a woman and a man), of three and of four."""
    rng = np.random.default_rng([2020, round(1000 * prevalence)])
    share, count = {1: 0.5, 2: 0.3, 3: 0.1, 4: 0.1}, 500
    missing = {
        word: {1: q, 2: 0.4 * q, 3: q**3, 4: q**4} for word, q in (("women", 1 - prevalence), ("men", prevalence))
    }
    truth = {word: 1 - sum(share[m] * none[m] for m in share) for word, none in missing.items()}
    found: dict[str, list[tuple[float, float, float, bool]]] = {word: [] for word in truth}
    plain: dict[str, list[float]] = {word: [] for word in truth}
    for repetition in range(repetitions):
        source, rates = halved(pool, rng)
        sizes = rng.choice(list(share), count, p=list(share.values()))
        genders = []
        for size in sizes.tolist():
            couple = size == 2 and rng.random() < 0.6
            same = size == 2 and not couple
            women = rng.random(1 if same else size) < prevalence
            genders.append([False, True] if couple else women.tolist() * (2 if same else 1))
        photo, gender = np.repeat(np.arange(count), sizes), np.concatenate(genders)
        groups = ((0, gender), (1, ~gender))
        faces = pd.concat([source.some(label, here.sum(), rng).assign(photo=photo[here]) for label, here in groups])
        table = faces[["photo", "quality", "p_male", "label"]].assign(face=np.arange(len(faces)), seconds=1.0)
        photos = pd.DataFrame({"path": map(str, range(count)), "weight": 1.0, "error_kind": None})
        collection = Results("photos", photos, table, [])
        row = survey(collection, rates, unit="photos", replicates=_REPLICATES, seed=repetition).everyone
        found["women"].append((row.women, row.women_low, row.women_high, row.misfit))
        found["men"].append((row.men, row.men_low, row.men_high, row.misfit))
        plain["women"].append(row.plain_women)
        plain["men"].append(row.plain_men)
    return [summary(f"photos with {word}", truth[word], count, found[word], plain[word]) for word in truth]


def rates_of(faces: pd.DataFrame) -> ErrorRates:
    return count_rates(faces["quality"].to_numpy(), faces["p_male"].to_numpy(), faces["truth"].to_numpy(np.int64))


def as_collection(faces: pd.DataFrame) -> Results:
    """One face a photo."""
    photos = pd.DataFrame({"path": faces["path"], "weight": 1.0, "error_kind": None})
    table = faces[["quality", "p_male", "label"]].assign(photo=np.arange(len(faces)), face=0, seconds=1.0)
    return Results("photos", photos, table, [])


def saerens(p_male: npt.NDArray[np.float64], rates: ErrorRates) -> float:
    """EM on probabilities that are taken to be calibrated at the prior of the faces that the rates are of."""
    prior = rates.female.sum() / (rates.female.sum() + rates.male.sum())
    share = prior
    for _ in range(200):
        women, men = (1 - p_male) * share / prior, p_male * (1 - share) / (1 - prior)
        share = float((women / np.maximum(women + men, 1e-12)).mean())
    return share


def adjusted_count(p_male: npt.NDArray[np.float64], rates: ErrorRates) -> float:
    """Adjusted count of the answers at 0.5."""
    over = rates.middles > 0.5
    right, wrong = rates.female.sum(axis=0), rates.male.sum(axis=0)
    tpr, fpr = right[~over].sum() / right.sum(), wrong[~over].sum() / wrong.sum()
    return float(np.clip(((p_male < 0.5).mean() - fpr) / max(tpr - fpr, 0.05), 0, 1))


if __name__ == "__main__":
    main()
