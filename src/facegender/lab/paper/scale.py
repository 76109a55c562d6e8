"""How much of the paper is run: in minutes, in an hour or two, or in full; and what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facegender.errors import DivergedError
from facegender.files import write_text
from facegender.lab.datasets.store import Store
from facegender.lab.evaluation.crossval import CrossValidation, cross_validate
from facegender.lab.evaluation.figures import PRINTED_NAMES
from facegender.lab.training.hardware import Hardware
from facegender.lab.training.recipe import Recipe, load_recipe

ALL_FOLDS = tuple(range(1, 11))


@dataclass(frozen=True)
class FoldRun:
    """One network under one recipe on folds of LFW.

    Attributes:
        key: name of its folder.
        network: as the paper's figures call it.
        recipe: of the runs.
        folds: which of the ten are tested.
        assignment: ``random``, the paper's protocol, or ``identity``: no person on both sides.
    """

    key: str
    network: str
    recipe: Recipe
    folds: tuple[int, ...]
    assignment: str = "random"

    @property
    def command(self) -> str:
        """That makes the run."""
        only = "" if self.folds == ALL_FOLDS else "".join(f" --only {fold}" for fold in self.folds)
        options = self.recipe.command_options()
        return f"facegender crossval lfw --folds {self.assignment}{only} {options} --output {self.key}"

    @property
    def terms(self) -> str:
        """Whose recipe, which colours, how far from the full protocol; for tables."""
        recipe = self.recipe
        whose = "the paper's" if recipe.name.startswith("paper") else "ours"
        size = recipe.describe().input_size
        folds = "10 folds" if self.folds == ALL_FOLDS else f"fold {', '.join(map(str, self.folds))}"
        epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
        return f"{whose}, {recipe.colour}, input {size}, {epochs}, {folds}"


@dataclass(frozen=True)
class FoldOutcome:
    """What became of one `FoldRun`.

    Attributes:
        run: what was asked.
        result: None where training diverged.
        failure: why, "" where it did not.
    """

    run: FoldRun
    result: CrossValidation | None
    failure: str = ""


@dataclass(frozen=True)
class Scale:
    """What a reproduction runs.

    Attributes:
        name: ``quick``, ``standard`` or ``full``.
        says: what to expect, for people.
        fold_runs: on LFW's random folds: figures 4 to 6 and LFW's half of table 5 and figure 7.
        person_runs: the custom CNN on folds by identity.
        cross: recipes of the cross-dataset runs, by the network's printed name; the first is the custom CNN's.
        benchmark_seconds: time for one case of the benchmark.
        benchmark_networks: whose inference time is measured, by registry name; the first is what ratios are against.
    """

    name: str
    says: str
    fold_runs: tuple[FoldRun, ...]
    person_runs: tuple[FoldRun, ...]
    cross: tuple[tuple[str, Recipe], ...]
    benchmark_seconds: float
    benchmark_networks: tuple[str, ...] = tuple(PRINTED_NAMES)


_BASELINES = (("AlexNet", "alexnet"), ("GoogLeNet", "googlenet"))


def _by_person(recipe: Recipe, folds: tuple[int, ...]) -> FoldRun:
    return FoldRun(f"{recipe.name}-custom-rgb-identity", "custom CNN", recipe, folds, "identity")


def quick() -> Scale:
    """Every part once, on one fold, with a few epochs; the baselines at the smallest input they can take."""
    sizes = {"alexnet": 67, "googlenet": 64}
    return Scale(
        "quick",
        "one fold, a few epochs, the baselines at a quarter of their input: it shows that all parts run, not how good "
        "the networks get",
        (
            *(
                FoldRun(f"tuned-custom-{colour}", "custom CNN", load_recipe("tuned", colour=colour, epochs=4), (10,))
                for colour in ("rgb", "gray")
            ),
            *(
                FoldRun(
                    f"tuned-{name}-rgb",
                    printed,
                    load_recipe("tuned-baseline", network=name, input_size=sizes[name], epochs=1),
                    (10,),
                )
                for printed, name in _BASELINES
            ),
        ),
        (_by_person(load_recipe("tuned", epochs=4), (10,)),),
        (("custom CNN", load_recipe("tuned", epochs=5)),),
        benchmark_seconds=0.5,
    )


def standard() -> Scale:
    """The custom CNN as it should be, the baselines as far as two cores take them."""
    return Scale(
        "standard",
        "one fold; the custom CNN with its full number of epochs on LFW and 15 across datasets, the baselines at half "
        "of their input and for one or two epochs, which is as far as two processor cores take them in an hour",
        (
            FoldRun("paper-custom-rgb", "custom CNN", load_recipe("paper"), (10,)),
            FoldRun("paper-custom-gray", "custom CNN", load_recipe("paper", colour="gray"), (10,)),
            FoldRun("tuned-custom-rgb", "custom CNN", load_recipe("tuned"), (10,)),
            *(
                FoldRun(
                    f"{whose}-{name}-rgb",
                    printed,
                    load_recipe(f"{whose}-baseline", network=name, input_size=112, epochs=epochs),
                    (10,),
                )
                for whose, epochs in (("paper", 1), ("tuned", 2))
                for printed, name in _BASELINES
            ),
        ),
        (_by_person(load_recipe("tuned"), (10,)),),
        (("custom CNN", load_recipe("tuned", epochs=15)),),
        benchmark_seconds=1.0,
    )


def full() -> Scale:
    """Ten folds of every network, recipe and colour at the networks' own input: for a GPU."""
    return Scale(
        "full",
        "ten folds of each network under both recipes, in RGB and gray, at the networks' own input",
        tuple(
            FoldRun(f"{whose}-{name}-{colour}", printed, recipe, ALL_FOLDS)
            for whose in ("paper", "tuned")
            for colour in ("rgb", "gray")
            for printed, name, recipe in (
                ("custom CNN", "custom", load_recipe(whose, colour=colour)),
                *(
                    (printed, name, load_recipe(f"{whose}-baseline", network=name, colour=colour))
                    for printed, name in _BASELINES
                ),
            )
        ),
        tuple(_by_person(load_recipe(whose), ALL_FOLDS) for whose in ("paper", "tuned")),
        (
            ("custom CNN", load_recipe("tuned")),
            *((printed, load_recipe("tuned-baseline", network=name)) for printed, name in _BASELINES),
        ),
        benchmark_seconds=5.0,
    )


def run_folds(
    store: Store,
    runs: Sequence[FoldRun],
    output: Path,
    hardware: Hardware,
    on_run: Callable[[FoldRun], None] = lambda run: None,
) -> list[FoldOutcome]:
    """Train and test every run on its folds of LFW; what is done is read.

    A run whose training diverges is an outcome too: without batch normalisation, the paper's learning rate of 0.1
    is more than AlexNet or GoogLeNet bear from random weights.
    """
    outcomes = []
    for run in runs:
        on_run(run)
        folder = output / run.key
        marker = folder / "diverged.json"
        asked = json.loads(json.dumps({"recipe": run.recipe.to_dict(), "folds": list(run.folds)}))
        # Folders are named alike at all scales: what diverged may have been another recipe.
        if marker.exists() and (noted := json.loads(marker.read_text(encoding="utf-8")))["run"] == asked:
            outcomes.append(FoldOutcome(run, None, noted["failure"]))
            continue
        try:
            result = cross_validate(run.recipe, store, run.assignment, folder, only=run.folds, hardware=hardware)
        except DivergedError as error:
            write_text(marker, json.dumps({"run": asked, "failure": str(error)}) + "\n")
            outcomes.append(FoldOutcome(run, None, str(error)))
        else:
            outcomes.append(FoldOutcome(run, result))
    return outcomes
