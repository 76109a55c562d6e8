"""The misclassified faces, the most confident mistakes first, women above and men below (Figure 8).

The pictures show people of research datasets: they are drawn for the eyes of whoever has the data, and not passed on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facegender.faces.types import CROP_SIZE
from facegender.lab.datasets.store import LABELS, Store
from facegender.lab.evaluation.metrics import FloatArray, IntArray, is_right
from facegender.plots import new_figure, save_figure
from facegender.tables import write_csv

#: Crops side by side.
_COLUMNS = 8
#: Room for one crop with its text, pixels of the crop's scale.
_WIDTH, _HEIGHT = CROP_SIZE + 14, CROP_SIZE + 30
#: Inches a crop pixel.
_INCHES = 1.1 / CROP_SIZE
#: Characters of a name that fit below a crop.
_NAME = 22


@dataclass(frozen=True)
class Mistake:
    """A face whose likelier answer is not its label.

    Attributes:
        index: of the crop in its store.
        image: name.
        label: 0 female, 1 male.
        p_male: the answer.
    """

    index: int
    image: str
    label: int
    p_male: float

    @property
    def confidence(self) -> float:
        """Probability of the wrong answer, in [0.5, 1]."""
        return max(self.p_male, 1 - self.p_male)


def mistakes(store: Store, index: IntArray, p_male: FloatArray) -> list[Mistake]:
    """The misclassified among some crops, the most confident first.

    Args:
        index: of the crops, N.
        p_male: the answers to them, N.
    """
    wrong = ~is_right(store.labels[index], p_male)
    found = [
        Mistake(i, store.images[i], int(store.labels[i]), p)
        for i, p in zip(index[wrong].tolist(), p_male[wrong].tolist(), strict=True)
    ]
    return sorted(found, key=lambda mistake: (-mistake.confidence, mistake.image))


def write_gallery(output: Path, store: Store, found: list[Mistake], limit: int, title: str) -> None:
    """Write ``errors.csv``, all of them, and ``errors.png``, the first `limit` women and men.

    Args:
        found: what `mistakes` gave; may be none.
        limit: largest number of crops shown of each gender.

    Raises:
        OutputError: the folder cannot be written.
    """
    columns = ("image", "label", "p_male", "confidence")
    values = [(m.image, LABELS[m.label], f"{m.p_male:.5f}", f"{m.confidence:.5f}") for m in found]
    write_csv(output / "errors.csv", [dict(zip(columns, row, strict=True)) for row in values], columns)
    _draw(output / "errors.png", store, found, limit, title)


def _draw(path: Path, store: Store, found: list[Mistake], limit: int, title: str) -> None:
    panels = [("women", [m for m in found if m.label == 0]), ("men", [m for m in found if m.label == 1])]
    rows = [max(1, math.ceil(min(len(members), limit) / _COLUMNS)) for _, members in panels]
    width = _COLUMNS * _WIDTH
    figure = new_figure(width * _INCHES + 0.2, sum(rows) * _HEIGHT * _INCHES + 1.3)
    all_axes = figure.subplots(2, 1, height_ratios=rows)
    for axes, count, (who, members) in zip(all_axes, rows, panels, strict=True):
        canvas: npt.NDArray[np.uint8] = np.full((count * _HEIGHT, width, 3), 255, np.uint8)
        for place, mistake in enumerate(members[:limit]):
            y, x = (place // _COLUMNS) * _HEIGHT, (place % _COLUMNS) * _WIDTH + (_WIDTH - CROP_SIZE) // 2
            canvas[y : y + CROP_SIZE, x : x + CROP_SIZE] = store.crops[mistake.index]
            text = f"{_shown(mistake.image)}\ngiven: {LABELS[mistake.label]}\np(male) {mistake.p_male:.3f}"
            middle = x + CROP_SIZE / 2
            axes.text(middle, y + CROP_SIZE + 2, text, fontsize=6, ha="center", va="top", parse_math=False)
        axes.imshow(canvas, interpolation="nearest")
        axes.set_axis_off()
        other = "male" if who == "women" else "female"
        shown = f", the {limit} most confident" if len(members) > limit else ""
        count_text = f"{len(members):,}" if members else "no"
        axes.set_title(f"{count_text} {who} called {other}{shown}", fontsize=9)
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)


def _shown(name: str) -> str:
    """A name without folder and suffix, its middle left out where it is long, in letters that the font has."""
    name = "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in Path(name).stem)
    return name if len(name) <= _NAME else f"{name[: _NAME - 9]}…{name[-8:]}"
