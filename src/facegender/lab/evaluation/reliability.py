"""Calibration of probabilities: reliability and risk against coverage, by set, group and degradation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegender.faces.types import Crops
from facegender.lab.effects import DEGRADATIONS, degrade
from facegender.lab.evaluation.metrics import (
    FloatArray,
    IntArray,
    answered,
    brier_score,
    expected_calibration_error,
    is_right,
    wilson_interval,
)
from facegender.plots import new_figure, plain, save_figure
from facegender.progress import track
from facegender.tables import rounded, write_csv

#: Accepted error rates at which coverage is reported.
ERRORS = (0.01, 0.02)
#: No more crops of a set are degraded, in each way.
MOST_DEGRADED = 2000
#: The undamaged crops, among the damages.
WHOLE = "none"

_BINS = 10
#: Groups of fewer faces are not measured.
FEWEST = 100
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
_LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Reliability:
    """How well a network's probabilities are calibrated on some faces; shares in [0, 1].

    Attributes:
        test: name of the test set.
        damage: of `facegender.lab.effects.DEGRADATIONS`, or `WHOLE`.
        group: such as ``race: Indian``, or ``all``.
        count: faces.
        accuracy: share of right answers.
        ece: expected calibration error of p_male.
        brier: mean squared difference of p_male and the label.
        confidence: mean of max(p, 1 - p).
        coverage_1, error_1: share answered at the card's confidence for 1 % error, and how many of those are wrong;
            None for a network without such thresholds.
        coverage_2, error_2: the same for 2 %.
        reachable_2: the coverage at 2 % error that a threshold chosen on these very faces would reach.
    """

    test: str
    damage: str
    group: str
    count: int
    accuracy: float
    ece: float
    brier: float
    confidence: float
    coverage_1: float | None
    error_1: float | None
    coverage_2: float | None
    error_2: float | None
    reachable_2: float


def measure_reliability(
    test: str,
    damage: str,
    group: str,
    labels: IntArray,
    p_male: FloatArray,
    confidence: Callable[[float], float] | None,
) -> Reliability:
    """Measure the calibration and coverage of some answers.

    Args:
        test, damage, group: as in `Reliability`.
        labels: int64, N, at least one; 0 female, 1 male.
        p_male: float, N.
        confidence: accepted error rate to the least confidence of an answer; None where there are no thresholds.
    """
    wrong = ~is_right(labels, p_male)
    sure = np.maximum(p_male, 1 - p_male)
    (one, error_one), (two, error_two) = (
        (None, None) if confidence is None else answered(labels, p_male, confidence(rate)) for rate in ERRORS
    )
    coverage, risk = risk_coverage(labels, p_male)
    within = np.flatnonzero(risk <= ERRORS[1])
    return Reliability(
        *(test, damage, group, len(labels), float(1 - wrong.mean())),
        *(expected_calibration_error(labels, p_male), brier_score(labels, p_male), float(sure.mean())),
        coverage_1=one,
        error_1=error_one,
        coverage_2=two,
        error_2=error_two,
        reachable_2=float(coverage[within[-1]]) if len(within) else 0.0,
    )


def damaged(
    test: str,
    crops: Crops,
    index: IntArray,
    labels: IntArray,
    answer: Callable[[Crops], FloatArray],
    confidence: Callable[[float], float] | None,
) -> list[Reliability]:
    """One row for each way of damaging some faces, and one for the same faces undamaged.

    Args:
        crops: uint8, M x 64 x 64 x 3, RGB.
        index: int64, N, of `crops`; at most `MOST_DEGRADED`, evenly spread, are used.
        labels: int64, N.
        answer: crops to p_male.
        confidence: as for `measure_reliability`.
    """
    some = np.linspace(0, len(labels) - 1, min(MOST_DEGRADED, len(labels))).astype(np.int64)
    sample, truth = np.ascontiguousarray(crops[index[some]]), labels[some]
    rows = [measure_reliability(test, WHOLE, "of those damaged", truth, answer(sample), confidence)]
    for name in track(list(DEGRADATIONS), f"damaging {test}"):
        rows.append(measure_reliability(test, name, "all", truth, answer(degrade(sample, name)), confidence))
    return rows


def risk_coverage(labels: IntArray, p_male: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The share that the k most confident answers are, for k = 1 to N, and the error among them.

    R. El-Yaniv and Y. Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010.
    """
    sure = np.maximum(p_male, 1 - p_male)
    wrong = ~is_right(labels, p_male)[np.argsort(-sure, kind="stable")]
    counts = np.arange(1, len(labels) + 1)
    return counts / len(labels), np.cumsum(wrong) / counts


def write_reliability(path: Path, model: str, rows: Sequence[Reliability], extra: Mapping[str, str]) -> None:
    """One line a row, as CSV.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_csv(path, [rounded({"model": model, **vars(row), **extra}) for row in rows])


def draw_reliability(path: Path, panels: Mapping[str, Mapping[str, tuple[IntArray, FloatArray]]], title: str) -> None:
    """Share of men against p_male in ten bins, with 95 % Wilson intervals; a panel a set, a line a group.

    Raises:
        OutputError: the folder cannot be written.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(0.6 + 3.3 * columns, 0.7 + 3.3 * rows)
    all_axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, groups) in zip(all_axes, panels.items(), strict=False):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=(0, (1, 3)))
        for number, (group, (labels, p_male)) in enumerate(groups.items()):
            which = np.minimum((p_male * _BINS).astype(int), _BINS - 1)
            filled = [b for b in range(_BINS) if (which == b).sum() >= 5]
            means, shares = ([float(some[which == b].mean()) for b in filled] for some in (p_male, labels))
            bounds = [wilson_interval(int(labels[which == b].sum()), int((which == b).sum())) for b in filled]
            spread = np.reshape(bounds, (-1, 2)).T - shares
            shift = 0.006 * (number - (len(groups) - 1) / 2)
            axes.errorbar(
                [mean + shift for mean in means],
                shares,
                yerr=np.abs(spread),
                color=_COLOURS[number % len(_COLOURS)],
                linestyle=_LINES[number % len(_LINES)],
                linewidth=1.1,
                elinewidth=0.7,
                marker="o",
                markersize=3,
                label=group,
            )
        axes.set(title=name, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        plain(axes, "both")
        if len(groups) > 1:
            axes.legend(frameon=False, fontsize=6, loc="upper left")
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("p_male", fontsize=9)
    figure.supylabel("share of men", fontsize=9)
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)


def draw_risk_coverage(path: Path, sets: Mapping[str, tuple[IntArray, FloatArray]], title: str) -> None:
    """Error among the answered against how many are answered, a line a set.

    Raises:
        OutputError: the folder cannot be written.
    """
    figure = new_figure(6.0, 3.8)
    axes = figure.subplots()
    top = 1.0
    for number, (name, (labels, p_male)) in enumerate(sets.items()):
        coverage, risk = risk_coverage(labels, p_male)
        start = len(coverage) // 20  # the first few answers are too few to be a rate
        line, colour = _LINES[number % len(_LINES)], _COLOURS[number % len(_COLOURS)]
        axes.plot(100 * coverage[start:], 100 * risk[start:], color=colour, linestyle=line, label=name)
        top = max(top, 100 * float(risk[-1]))
    axes.set(xlabel="answered (%)", ylabel="wrong among them (%)", xlim=(0, 100), ylim=(0, 1.1 * top), title=title)
    axes.legend(frameon=False, loc="upper left")
    plain(axes, "both")
    save_figure(figure, path)
