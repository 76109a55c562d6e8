"""The runs behind the reproduction: what was trained and tested, read back where it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facegender.errors import DivergedError
from facegender.files import write_text
from facegender.lab.datasets.store import Store
from facegender.lab.evaluation.crossval import CrossValidation, cross_validate
from facegender.lab.paper.scale import FoldRun
from facegender.lab.training.hardware import Hardware


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
