"""Train on each dataset, test on every other (paper, section 3.4).

Nothing is chosen by a test split: the number of epochs is the recipe's, the last epoch's weights are tested, and the
validation split is only measured.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from facegender.errors import InputError
from facegender.lab.datasets.provenance import origins
from facegender.lab.datasets.store import Store
from facegender.lab.evaluation.crossval import split_examples
from facegender.lab.evaluation.leaks import Leak, count_leaks, find_leaks, write_leaks
from facegender.lab.evaluation.metrics import Metrics, Predictions, accuracy_interval, write_predictions
from facegender.lab.evaluation.models import EvaluatedModel
from facegender.lab.evaluation.subgroups import FEW, Subgroup, grouping_attributes, subgroups
from facegender.lab.training.hardware import Hardware, is_main_process
from facegender.lab.training.loop import train
from facegender.lab.training.recipe import Recipe
from facegender.plots import new_figure, save_figure
from facegender.tables import rounded, write_csv
from facegender.wording import counted

#: Accuracies from chance to perfect share the shades, so that two matrices can be compared.
_LOWEST, _HIGHEST = 50.0, 100.0
#: Light enough for black print everywhere.
_SHADES = ListedColormap(colormaps["Blues"](np.linspace(0.0, 0.55, 256)))


@dataclass(frozen=True)
class MatrixCell:
    """One network on one test split.

    Attributes:
        trained_on: name of the network's training data, or of the network.
        tested_on: name of the store.
        predictions: the answers to those faces of its test split that the network has not seen.
        metrics: measured on them.
        left_out: faces of the test split that it has seen.
        leaked: N; whether the network was trained on the same photo or the same person. None where that is not known:
            it was trained on a store that is not given, or began with a network that was.
        groups: the same answers by attribute and gender.
    """

    trained_on: str
    tested_on: str
    predictions: Predictions
    metrics: Metrics
    left_out: int
    leaked: npt.NDArray[np.bool_] | None
    groups: Sequence[Subgroup]

    @property
    def without_leaks(self) -> tuple[int, int] | None:
        """Faces that did not leak, and those among them answered right; None where none leaked or it is not known."""
        if self.leaked is None or not self.leaked.any():
            return None
        right = self.predictions.right[~self.leaked]
        return len(right), int(right.sum())


def cross_dataset(
    recipe: Recipe,
    stores: Mapping[str, Store],
    output: Path,
    *,
    only_train: Collection[str] = (),
    hardware: Hardware | None = None,
    on_cell: Callable[[MatrixCell], None] = lambda cell: None,
) -> list[MatrixCell]:
    """Train a network on the train split of each store and test it on the test split of every store.

    A store without a train split is only tested on, one without a test split only trained on. Networks that are done
    are read, an interrupted one is resumed.

    Returns:
        the cells, by row, then column; none in further processes.

    Args:
        output: folder; gets a run ``train-NAME`` a store, and what `cross_test` writes.
        only_train: names of the stores to train on, instead of all.

    Raises:
        InputError: no store to train on, none to test on, one that is not given, or a split of one label.
        CheckpointError: `output` holds runs of another recipe or other data, or files that are cut short.
        DivergedError: a loss is no finite number any more.
    """
    if unknown := set(only_train) - set(stores):
        raise InputError(f"no store named {unknown.pop()} was given", remedy=f"there are: {', '.join(stores)}")
    # All of them before the first is trained: a split of one label is found now, not after an hour.
    examples = {
        name: split_examples(store)
        for name, store in stores.items()
        if len(store.split("train")) and (not only_train or name in only_train)
    }
    if not examples:
        raise InputError(f"none of {', '.join(only_train or stores)} has a train split", remedy="give another store")
    _check_tests(stores)
    models = {
        name: EvaluatedModel.of(train(recipe, e, run_folder(output, name), hardware), f"the network trained on {name}")
        for name, e in examples.items()
    }
    return cross_test(models, stores, output, on_cell=on_cell)


def cross_test(
    models: Mapping[str, EvaluatedModel],
    stores: Mapping[str, Store],
    output: Path,
    *,
    on_cell: Callable[[MatrixCell], None] = lambda cell: None,
) -> list[MatrixCell]:
    """Test networks on the test split of every store.

    Writes ``matrix.csv``, ``subgroups.csv``, ``matrix.png``, ``matrix.svg``, ``predictions/MODEL/STORE.csv``, and what
    `facegender.lab.evaluation.leaks.write_leaks` writes. In a run of several processes, the first alone does so.

    Args:
        models: by what they were trained on.

    Raises:
        InputError: no store has a test split, one has a test split of one label, or a network has seen all of one.
        OutputError: `output` cannot be written.
    """
    _check_tests(stores)
    if not is_main_process():
        return []
    tests = {
        (row, column): model.unseen(store, "test")
        for row, model in models.items()
        for column, store in stores.items()
        if len(store.split("test"))
    }
    leaks = find_leaks(stores)
    trained = {}
    for name, store in stores.items():
        with suppress(InputError):  # nobody has learned from a train split that is absent, or of one label
            trained[split_examples(store).fingerprint()] = name
    cells = []
    for (row, column), faces in tests.items():
        store, model, index = stores[column], models[row], faces.index
        predictions = model.predict(store, index)
        write_predictions(output / "predictions" / _file_name(row) / f"{_file_name(column)}.csv", predictions)
        cell = MatrixCell(
            row,
            column,
            predictions,
            predictions.measure(),
            faces.left_out,
            _leaked(leaks, _only_store(model, trained, stores), column, predictions.images),
            [g for name in grouping_attributes(store) for g in subgroups(store, index, predictions.right, name)],
        )
        cells.append(cell)
        on_cell(cell)
    write_leaks(output, count_leaks(stores, leaks), leaks)
    write_csv(output / "matrix.csv", [rounded(_matrix_row(cell)) for cell in cells])
    groups = [
        {"trained_on": cell.trained_on, "tested_on": cell.tested_on, **group.to_dict()}
        for cell in cells
        for group in cell.groups
    ]
    write_csv(output / "subgroups.csv", groups)
    for name in ("matrix.png", "matrix.svg"):
        draw_heatmap(output / name, {(cell.trained_on, cell.tested_on): cell.metrics for cell in cells})
    return cells


def run_folder(output: Path, name: str) -> Path:
    """The folder of the run on one store."""
    return output / f"train-{_file_name(name)}"


def _file_name(name: str) -> str:
    """A store may be called anything, also what would lead out of the folder; two have two files."""
    safe = re.sub(r"[^\w-]", "_", name)
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _check_tests(stores: Mapping[str, Store]) -> None:
    tests = {name: store.labels[store.split("test")] for name, store in stores.items()}
    if not any(map(len, tests.values())):
        raise InputError(f"none of {', '.join(stores)} has a test split", remedy="give another store")
    for name, labels in tests.items():
        if len(labels) and len(set(labels.tolist())) < 2:
            raise InputError(f"the test crops of {name} are not of both labels", remedy="leave it out")


def _only_store(model: EvaluatedModel, trained: Mapping[str, str], stores: Mapping[str, Store]) -> str | None:
    """The store whose train split is all that a network learned from; None where it is another, or not the only one.

    Args:
        trained: fingerprint of the train split of each store, to its name.
    """
    name = trained.get(model.examples)
    if name is None:
        return None
    there = {sha256 for _, sha256, _ in origins(stores[name])}
    return name if all(use.sha256 in there for use in model.provenance.learned.uses) else None


def _leaked(
    leaks: Sequence[Leak], trained_on: str | None, tested_on: str, images: Sequence[str]
) -> npt.NDArray[np.bool_] | None:
    if trained_on is None:
        return None
    there = (tested_on, "test", trained_on, "train")
    names = {leak.image for leak in leaks if (leak.store, leak.split, leak.other_store, leak.other_split) == there}
    return np.array([image in names for image in images])


def _matrix_row(cell: MatrixCell) -> dict[str, Any]:
    low, high = cell.predictions.interval
    women = int((cell.predictions.labels == 0).sum())
    unleaked = cell.without_leaks
    kept_low, kept_high = (None, None)
    if cell.leaked is not None and unleaked and unleaked[0]:
        people = [name for name, leaked in zip(cell.predictions.people, cell.leaked, strict=True) if not leaked]
        kept_low, kept_high = accuracy_interval(cell.predictions.right[~cell.leaked], people)
    measured = cell.metrics.to_dict()
    return {
        "trained_on": cell.trained_on,
        "tested_on": cell.tested_on,
        "count": measured.pop("count"),
        "accuracy": measured.pop("accuracy"),
        "accuracy_low": low,
        "accuracy_high": high,
        "female_count": women,
        "female_accuracy": measured.pop("female_accuracy"),
        "male_count": cell.metrics.count - women,
        "male_accuracy": cell.metrics.tpr,
        **measured,
        "left_out": cell.left_out,
        "leaked": None if cell.leaked is None else int(cell.leaked.sum()),
        "accuracy_without_leaks": unleaked[1] / unleaked[0] if unleaked and unleaked[0] else None,
        "accuracy_without_leaks_low": kept_low,
        "accuracy_without_leaks_high": kept_high,
    }


def draw_heatmap(path: Path, cells: Mapping[tuple[str, str], Metrics], title: str = "") -> None:
    """Draw accuracies by training and test data, with those on women and on men in small print.

    Rows and columns appear as they first occur. Cells of fewer than 30 faces are hatched and show their number.

    Args:
        cells: by what was trained on and what was tested on.

    Raises:
        OutputError: the folder cannot be written.
    """
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    shades = np.full((len(rows), len(columns)), np.nan)
    for (row, column), metrics in cells.items():
        shades[rows.index(row), columns.index(column)] = 100 * metrics.accuracy
    figure = new_figure(2.9 + 1.35 * len(columns), 1.5 + 0.95 * len(rows))
    axes = figure.subplots()
    picture = axes.imshow(shades, cmap=_SHADES, vmin=_LOWEST, vmax=_HIGHEST, aspect="auto")
    for (row, column), metrics in cells.items():
        x, y = columns.index(column), rows.index(row)
        few = metrics.count < FEW
        if few:
            frame = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="white", edgecolor="0.8", hatch="//", linewidth=0)
            axes.add_patch(frame)
        below = f"women {100 * metrics.female_accuracy:.1f}\nmen {100 * metrics.tpr:.1f}"
        caption = f"only {counted(metrics.count, 'face')}" if few else below
        for text, drop, size in ((f"{100 * metrics.accuracy:.1f}", -0.14, 13.0), (caption, 0.23, 7.5)):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if few else None
            axes.text(x, y + drop, text, fontsize=size, ha="center", va="center", bbox=box)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="tested on", ylabel="trained on", title=title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for x in range(1, len(columns)):
        axes.axvline(x - 0.5, color="white", linewidth=2)
    for y in range(1, len(rows)):
        axes.axhline(y - 0.5, color="white", linewidth=2)
    figure.colorbar(picture, ax=axes, label="accuracy (%)", extend="min")
    save_figure(figure, path)
