"""The cross-dataset matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from facegender.lab.evaluation.subgroups import FEW
from facegender.plots import new_figure, save_figure
from facegender.wording import counted

#: Accuracies from chance to perfect share the shades, so that two matrices can be compared.
_LOWEST, _HIGHEST = 50.0, 100.0
#: Light enough for black print everywhere.
_SHADES = ListedColormap(colormaps["Blues"](np.linspace(0.0, 0.55, 256)))


@dataclass(frozen=True)
class Square:
    """One cell.

    Attributes:
        trained_on, tested_on: row and column.
        count: faces.
        accuracy, female_accuracy, male_accuracy: in [0, 1].
    """

    trained_on: str
    tested_on: str
    count: int
    accuracy: float
    female_accuracy: float
    male_accuracy: float


def draw_heatmap(path: Path, squares: Sequence[Square], title: str = "") -> None:
    """Draw accuracies by training and test data, with those on women and on men in small print.

    Rows and columns appear as they first occur. Cells of fewer than 30 faces are hatched and show their number.

    Raises:
        OutputError: the folder cannot be written.
    """
    rows = list(dict.fromkeys(square.trained_on for square in squares))
    columns = list(dict.fromkeys(square.tested_on for square in squares))
    shades = np.full((len(rows), len(columns)), np.nan)
    for square in squares:
        shades[rows.index(square.trained_on), columns.index(square.tested_on)] = 100 * square.accuracy
    figure = new_figure(2.9 + 1.35 * len(columns), 1.5 + 0.95 * len(rows))
    axes = figure.subplots()
    picture = axes.imshow(shades, cmap=_SHADES, vmin=_LOWEST, vmax=_HIGHEST, aspect="auto")
    for square in squares:
        x, y = columns.index(square.tested_on), rows.index(square.trained_on)
        few = square.count < FEW
        if few:
            frame = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="white", edgecolor="0.8", hatch="//", linewidth=0)
            axes.add_patch(frame)
        below = f"women {100 * square.female_accuracy:.1f}\nmen {100 * square.male_accuracy:.1f}"
        caption = f"only {counted(square.count, 'face')}" if few else below
        for text, drop, size in ((f"{100 * square.accuracy:.1f}", -0.14, 13.0), (caption, 0.23, 7.5)):
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
