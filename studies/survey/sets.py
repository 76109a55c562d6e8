"""How differently a classifier errs on different collections, and whether intervals without labels allow for it.

    python studies/survey/sets.py FOLDER

FOLDER is what studies/survey/sets_faces.py wrote. For each of the five sets, and each of its versions in colour, gray
and with grain, collections of 300 faces with 10 to 90 % women are drawn, with replacement, and `facegender survey`
estimates the share of women with error rates

pooled        of the other four sets in all versions, taken as one: what the tool did before
sets          of the same, with random effects between sets: what it does
100 labels    of 100 faces of the collection itself, as `facegender label` draws them; also 200 labels
500 labels    the same, of a collection of 1,000 faces

Coverage is the share of 95 % intervals that contain the share of women in the population drawn from; width is in
points of a per cent; `warned` is how often the misfit warns. Rows with `all` are means. The set that a collection is
from is never among those that its rates are from.

One constant was chosen on these sets: `_POWER` in facegender.survey.effects, 0.1 among 0.1, 0.2, 0.3 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from facegender import weights
from facegender.lab.export.rates import counted, read_sets
from facegender.lab.study import study_parser, write_results
from facegender.label.draw import draw
from facegender.progress import track
from facegender.survey.estimate import survey
from facegender.survey.labels import Labelled
from facegender.survey.measuring import local_rates
from facegender.survey.rates import ErrorRates, load_rates
from facegender.survey.results import Results

_TESTED = ("colour", "gray", "grain")
_PREVALENCES = (0.1, 0.3, 0.5, 0.7, 0.9)
_RATES = ("pooled", "sets", "100 labels", "200 labels", "500 labels")
_FACES, _MORE_FACES = 300, 1000
_REPLICATES = 200


def main() -> None:
    parser = study_parser(__doc__, "survey/sets.csv")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repetitions", type=int, default=4, help="collections of each set, version and prevalence")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    faces = read_sets(arguments.folder).dropna(subset=["p_male"])
    jobs = [
        (faces[faces["model"] == model], model, name, version, arguments.repetitions)
        for model in weights.list_models()
        for name in faces["set"].unique()
        for version in _TESTED
    ]
    with ProcessPoolExecutor(arguments.jobs) as executor:
        found = pd.concat(track(executor.map(simulate, jobs), "simulating", total=len(jobs)), ignore_index=True)
    write_results(arguments.output, summaries(found))


def simulate(job: tuple[pd.DataFrame, str, str, str, int]) -> pd.DataFrame:
    """One row a collection and kind of rates."""
    faces, model, name, version, repetitions = job
    shipped = load_rates(weights.weight_path(model).with_suffix(".errors.json"))
    sets = counted(faces[faces["set"] != name], shipped)
    several = replace(shipped, sets=sets)
    women, men = (np.sum([getattr(some, word) for some in sets], axis=0) for word in ("female", "male"))
    pooled = replace(shipped, female=women, male=men, sets=())
    pool = faces[(faces["set"] == name) & (faces["version"] == version)]
    rows = []
    for prevalence in _PREVALENCES:
        for repetition in range(repetitions):
            # The same collections for every network and kind of rates.
            rng = np.random.default_rng([2020, repetition, round(100 * prevalence)])
            for rates, row in estimated(pool, prevalence, pooled, several, repetition, rng):
                rows.append(row | {"rates": rates, "prevalence": prevalence})
    return pd.DataFrame(rows).assign(model=model, set=name, version=version)


def estimated(
    pool: pd.DataFrame, prevalence: float, pooled: ErrorRates, several: ErrorRates, seed: int, rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, object]]]:
    """Estimates of collections with each kind of rates."""
    for count, kinds in ((_FACES, _RATES[:4]), (_MORE_FACES, _RATES[4:])):
        truth = (rng.random(count) >= prevalence).astype(int)
        rows = np.empty(count, int)
        for label in (0, 1):
            there = np.flatnonzero(pool["truth"] == label)
            rows[truth == label] = rng.choice(there, (truth == label).sum())
        some = as_collection(pool.iloc[rows])
        order = draw(some, seed)
        for kind in kinds:
            known, rates = None, {"pooled": pooled, "sets": several}.get(kind)
            if rates is None:
                known = labelled(order.order[: int(kind.split()[0])], order.strata, order.sizes, truth)
                rates = local_rates(some, known, source="labels", command="")
            row = survey(some, rates, labelled=known, target="beyond", replicates=_REPLICATES, seed=seed).everyone
            yield (
                kind,
                {
                    "faces": count,
                    "held": row.women_low <= prevalence <= row.women_high,
                    "width": 100 * (row.women_high - row.women_low),
                    "off": 100 * (row.women - prevalence),
                    "warned": row.misfit,
                },
            )


def as_collection(faces: pd.DataFrame) -> Results:
    """One face a photo."""
    photos = pd.DataFrame({"path": [f"{i}.jpg" for i in range(len(faces))], "weight": 1.0, "error_kind": None})
    table = faces[["quality", "p_male", "label"]].reset_index(drop=True)
    box = dict.fromkeys("xywh", 1.0)
    return Results("photos", photos, table.assign(photo=np.arange(len(faces)), face=0, seconds=1.0, **box), [])


def labelled(rows: np.ndarray, strata: list[str], sizes: dict[str, float], truth: np.ndarray) -> Labelled:
    """What a person would have said, without mistakes."""
    names = pd.Series([strata[row] for row in rows])
    weight = names.map(sizes) / names.map(names.value_counts())
    return Labelled(rows, truth[rows], weight.to_numpy(float), (0, 0), 0)


def summaries(found: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Over all, each set, and each version of each set."""
    for model, rates in ((m, r) for m in found["model"].unique() for r in _RATES):
        here = found[(found["model"] == model) & (found["rates"] == rates)]
        yield {"model": model, "rates": rates, "set": "all", "version": "all"} | summary(here)
        for name, of_set in here.groupby("set"):
            yield {"model": model, "rates": rates, "set": name, "version": "all"} | summary(of_set)
            for version, some in of_set.groupby("version"):
                yield {"model": model, "rates": rates, "set": name, "version": version} | summary(some)


def summary(some: pd.DataFrame) -> dict[str, object]:
    return {
        "faces": some["faces"].iloc[0],
        "collections": len(some),
        "coverage": round(some["held"].mean(), 3),
        "width": round(some["width"].mean(), 1),
        "bias": round(some["off"].mean(), 2),
        "root_mean_square_error": round((some["off"] ** 2).mean() ** 0.5, 2),
        "warned": round(some["warned"].mean(), 3),
    }


if __name__ == "__main__":
    main()
