"""K-fold cross-validation: train on all folds but one, test on that one, for each.

Nothing is chosen by a test fold: the number of epochs is the recipe's, and the last epoch's weights are tested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from facegender.errors import InputError
from facegender.files import write_text
from facegender.lab.datasets.store import Store
from facegender.lab.evaluation.metrics import Metrics, Predictions, p_male_from_logits, write_predictions
from facegender.lab.training.hardware import Hardware, is_main_process
from facegender.lab.training.loop import Examples, train
from facegender.lab.training.model import predict_logits
from facegender.lab.training.recipe import Recipe
from facegender.tables import rounded, write_csv


@dataclass(frozen=True, kw_only=True)
class CrossValidation(Predictions):
    """The answers to every tested crop, fold by fold.

    Attributes:
        assignment: name of the fold assignment (``random`` or ``identity``).
        mirror: whether mirror images were averaged in.
        per_fold: measures by fold number.
    """

    assignment: str
    mirror: bool
    per_fold: Mapping[int, Metrics]

    def mean(self, name: str) -> float:
        """Mean of one measure over the folds."""
        return float(np.mean([getattr(m, name) for m in self.per_fold.values()]))

    def std(self, name: str) -> float:
        """Sample standard deviation of one measure over the folds; 0 for a single fold."""
        values = [getattr(m, name) for m in self.per_fold.values()]
        return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def cross_validate(
    recipe: Recipe,
    store: Store,
    assignment: str,
    output: Path,
    *,
    only: Sequence[int] | None = None,
    mirror: bool = False,
    hardware: Hardware | None = None,
    on_fold: Callable[[int, Metrics], None] = lambda fold, metrics: None,
) -> CrossValidation:
    """Train and test every fold; folds that are done are read, an interrupted one is resumed.

    Args:
        assignment: which of the store's fold assignments.
        output: folder; gets one run a fold and, once all folds are in, ``folds.csv`` and ``summary.json``.
        only: fold numbers to run instead of all.
        mirror: test on each crop and its mirror image (`CropClassifier.mirror`).

    Raises:
        InputError: the store lacks the assignment or a fold, or a fold lacks a label.
        CheckpointError: `output` holds runs of another recipe, or files that are cut short.
    """
    folds = store.fold(assignment)
    numbers = sorted(set(folds.tolist()))
    tested = sorted(set(only or numbers))
    # All of them before the first is trained: a fold of one label is found now, not after an hour.
    examples = {n: fold_examples(store, assignment, n) for n in tested}
    per_fold: dict[int, Metrics] = {}
    index, p_male = [], []
    for number, fold in examples.items():
        folder = fold_folder(output, number)
        trained = train(recipe, fold, folder, hardware)
        index.append(np.flatnonzero(folds == number))
        trained.classifier.mirror = mirror
        p_male.append(p_male_from_logits(predict_logits(trained.classifier, store.crops, index[-1])))
        answers = Predictions.of(store, index[-1], p_male[-1])
        per_fold[number] = answers.measure()
        if is_main_process():
            write_predictions(folder / "predictions.csv", answers)
            on_fold(number, per_fold[number])
    every = Predictions.of(store, np.concatenate(index), np.concatenate(p_male))
    result = CrossValidation(**vars(every), assignment=assignment, mirror=mirror, per_fold=per_fold)
    if tested == numbers and is_main_process():
        _write_results(output, recipe, result)
    return result


def split_examples(store: Store) -> Examples:
    """The train split to learn from, the validation split held out where there is one.

    Raises:
        InputError: there is no train split, or there are not both labels in a split.
    """
    train_split, validation = store.split("train"), store.split("validation")
    if not len(train_split):
        raise InputError(f"store {store.name} has no train split", remedy="--all learns from what it has")
    return Examples(store, train_split, validation if len(validation) else None)


def fold_examples(store: Store, assignment: str, number: int) -> Examples:
    """Every fold but one to learn from, that one held out.

    Raises:
        InputError: the store lacks the assignment or the fold, or there are not both labels on both sides.
    """
    folds = store.fold(assignment)
    if not (folds == number).any():
        raise InputError(f"store {store.name} has no fold {number} in {assignment!r}")
    return Examples(store, np.flatnonzero(folds != number), np.flatnonzero(folds == number))


def fold_folder(output: Path, number: int) -> Path:
    """The folder of one fold's run."""
    return output / f"fold-{number:02d}"


def _write_results(output: Path, recipe: Recipe, result: CrossValidation) -> None:
    write_csv(output / "folds.csv", [rounded({"fold": n, **m.to_dict()}) for n, m in result.per_fold.items()])
    names = [field.name for field in fields(Metrics)][1:]
    low, high = result.interval
    summary = {
        "recipe": recipe.to_dict(),
        "assignment": result.assignment,
        "mirror": result.mirror,
        "folds": len(result.per_fold),
        "mean": {name: round(result.mean(name), 5) for name in names},
        "std": {name: round(result.std(name), 5) for name in names},
        "accuracy_wilson_95": [round(low, 5), round(high, 5)],
    }
    write_text(output / "summary.json", json.dumps(summary, indent=2) + "\n")
