"""Receiver operating characteristics of several networks on one test set (Figure 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.metrics import roc_auc_score, roc_curve

from facegender.errors import InputError
from facegender.lab.evaluation.predictions import Predictions
from facegender.lab.evaluation.styles import styles_of
from facegender.plots import new_figure, plain, save_figure

#: The corner that the inset enlarges: false positive rates up to, true positive rates from.
_CORNER = 0.15


@dataclass(frozen=True)
class RocCurve:
    """One line of the figure.

    Attributes:
        network: a name of the registry; it gives colour and dashes.
        label: for the legend.
        predictions: of faces of both labels.
    """

    network: str
    label: str
    predictions: Predictions

    @property
    def auc(self) -> float:
        """Area under the curve, in [0, 1]."""
        return float(roc_auc_score(self.predictions.labels, self.predictions.p_male))


def draw_roc(path: Path, curves: Sequence[RocCurve], title: str) -> None:
    """Draw true against false positive rate, `male` positive, and the upper left corner enlarged.

    Raises:
        InputError: the faces of a curve are not of both labels.
        OutputError: the folder cannot be written.
    """
    figure = new_figure(5.2, 4.8)
    axes = figure.subplots()
    corner = axes.inset_axes((0.3, 0.33, 0.66, 0.45))
    styles = styles_of(curve.network for curve in curves)
    for curve in curves:
        if len(set(curve.predictions.labels.tolist())) < 2:
            raise InputError(f"the faces of the curve {curve.label!r} are not of both labels")
        style = styles[curve.network]
        false, true, _ = roc_curve(curve.predictions.labels, curve.predictions.p_male)
        for part, width in ((axes, 1.6), (corner, 1.4)):
            label = f"{curve.label}, AUC {curve.auc:.4f}"
            part.plot(false, true, color=style.colour, linestyle=style.line, linewidth=width, label=label)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=(0, (1, 3)))
    axes.set(xlim=(0, 1), ylim=(0, 1.005), title=title, aspect="equal")
    axes.set(xlabel="false positive rate (women called male)", ylabel="true positive rate (men called male)")
    corner.set(xlim=(0, _CORNER), ylim=(1 - _CORNER, 1.003))
    corner.tick_params(labelsize=7)
    for part in (axes, corner):
        plain(part, "both")
    axes.indicate_inset_zoom(corner, edgecolor="0.5")
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    save_figure(figure, path)
