"""The picture of a run, drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facegender.plots import new_figure, plain, save_figure

BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#666666"


def draw_curve(path: Path, history: Sequence[Mapping[str, Any]], title: str) -> None:
    """Loss and accuracy over the epochs: `history` has epoch, loss, accuracy, heldout_accuracy ([0, 1] or None).

    Raises:
        OutputError: the folder cannot be written.
    """
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2)
    epochs = [r["epoch"] for r in history]
    left.plot(epochs, [r["loss"] for r in history], color=GRAY)
    left.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, None))
    right.plot(epochs, [100 * r["accuracy"] for r in history], color=BLUE, linestyle="--", label="training")
    if history and history[0]["heldout_accuracy"] is not None:
        right.plot(epochs, [100 * r["heldout_accuracy"] for r in history], color=ORANGE, label="held out")
    right.set(xlabel="epoch", ylabel="accuracy (%)")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        plain(axes, "both")
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)
