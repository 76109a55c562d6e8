"""The paper's figures of accuracy, measured beside printed: bars (Figures 4 to 6), fold by fold, and ROC (Figure 7).

A network has one colour in every figure, readable in gray.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from sklearn.metrics import roc_auc_score, roc_curve

from facegender.errors import InputError
from facegender.lab.evaluation.metrics import Predictions
from facegender.plots import new_figure, plain, save_figure

#: The paper's measures, in its order, and what they are called in the figures.
MEASURES = {"accuracy": "accuracy", "tpr": "TPR", "fpr": "FPR", "precision": "precision"}

#: Of the room for one measure, what its bars fill.
_FILLED = 0.84
#: The corner that the inset enlarges: false positive rates up to, true positive rates from.
_CORNER = 0.15


@dataclass(frozen=True)
class Style:
    """How a network is drawn everywhere; hatch and line tell it from the others without colour.

    A line is a name of Matplotlib's, or an offset and the lengths of dashes and gaps.
    """

    colour: str
    hatch: str
    line: str | tuple[int, tuple[int, ...]]
    marker: str


#: From the palette of Okabe and Ito, which colour-blind people can tell apart; the names are the paper's.
STYLES = {
    "custom CNN": Style("#0072B2", "", "-", "o"),
    "GoogLeNet": Style("#E69F00", "///", "--", "s"),
    "AlexNet": Style("#009E73", "...", ":", "^"),
}

#: What the registry's names are called in the paper's figures.
PRINTED_NAMES = {
    "custom-cnn-table1": "custom CNN",
    "custom-cnn-table3": "custom CNN",
    "googlenet": "GoogLeNet",
    "alexnet": "AlexNet",
}

#: Of networks that the paper does not draw.
_OTHERS = (
    Style("#D55E00", "xxx", "-.", "D"),
    Style("#CC79A7", "\\\\\\", (0, (5, 1)), "v"),
    Style("#56B4E9", "ooo", (0, (3, 1, 1, 1)), "P"),
)


def styles_of(networks: Iterable[str]) -> dict[str, Style]:
    """A style for each network of one figure, by its name in the registry; the paper's have theirs in every figure."""
    styles: dict[str, Style] = {}
    others = cycle(_OTHERS)
    for network in dict.fromkeys(networks):
        styles[network] = STYLES[PRINTED_NAMES[network]] if network in PRINTED_NAMES else next(others)
    return styles


@dataclass(frozen=True)
class MeasuredNetwork:
    """What one network scored; all in [0, 1], by the names of `MEASURES`.

    Attributes:
        network: printed name, of `STYLES`.
        measured: mean over the folds.
        deviation: standard deviation over the folds, where there are several.
        published: what the paper prints, where it does.
    """

    network: str
    measured: Mapping[str, float]
    deviation: Mapping[str, float] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)


def draw_measures(path: Path, panels: Mapping[str, Sequence[MeasuredNetwork]], title: str) -> None:
    """Draw grouped bars: a panel each for RGB and gray, say, a group a measure, a bar a network.

    Measured bars are filled and hatched by network and bear their value; whiskers are standard deviations.
    Published values are outlined bars beside them.

    Raises:
        OutputError: the folder cannot be written.
    """
    figure = new_figure(1.2 + 4.6 * len(panels), 3.9)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, networks) in zip(all_axes, panels.items(), strict=True):
        _draw_panel(axes, networks)
        axes.set(title=name, ylim=(0, 118))
        plain(axes)
    all_axes[0].set(ylabel="share (%)", yticks=range(0, 101, 20))
    shown = list(dict.fromkeys(network.network for networks in panels.values() for network in networks))
    handles = []
    for name in shown:
        style = STYLES[name]
        handles.append(Patch(facecolor=style.colour, hatch=style.hatch, edgecolor="white", label=f"{name}, measured"))
        if any(n.published for networks in panels.values() for n in networks if n.network == name):
            label = f"{name}, published"
            handles.append(Patch(facecolor="white", hatch=style.hatch, edgecolor=style.colour, label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(shown), frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)


def draw_folds(path: Path, folds: Mapping[str, Mapping[int, float]], title: str) -> None:
    """Draw accuracies in [0, 1] fold by fold, a line a network, its mean as a thin line.

    Raises:
        OutputError: the folder cannot be written.
    """
    figure = new_figure(6.4, 3.4)
    axes = figure.subplots()
    for name, values in folds.items():
        style = STYLES[name]
        numbers = sorted(values)
        percent = [100 * values[number] for number in numbers]
        mean = sum(percent) / len(percent)
        axes.plot(
            *(numbers, percent),
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            label=f"{name}, mean {mean:.2f}",
        )
        axes.axhline(mean, color=style.colour, linestyle=style.line, linewidth=0.7, alpha=0.6)
    axes.set(xlabel="fold", ylabel="accuracy (%)", xticks=sorted({n for values in folds.values() for n in values}))
    axes.set_title(title, fontsize=10)
    plain(axes)
    figure.legend(loc="outside lower center", ncols=len(folds), frameon=False, fontsize=8)
    save_figure(figure, path)


def _draw_panel(axes: Axes, networks: Sequence[MeasuredNetwork]) -> None:
    columns = [(network, source) for network in networks for source in ("measured", "published")]
    columns = [(network, source) for network, source in columns if getattr(network, source)]
    width = _FILLED / len(columns)
    for group, measure in enumerate(MEASURES):
        for place, (network, source) in enumerate(columns):
            values: Mapping[str, float] = getattr(network, source)
            if measure not in values:
                continue
            style = STYLES[network.network]
            x = group - _FILLED / 2 + (place + 0.5) * width
            ours = source == "measured"
            deviation = 100 * network.deviation.get(measure, 0.0) if ours else 0.0
            height = 100 * values[measure]
            axes.bar(
                *(x, height, 0.94 * width),
                color=style.colour if ours else "white",
                edgecolor="white" if ours else style.colour,
                hatch=style.hatch,
                yerr=deviation or None,
                error_kw={"elinewidth": 0.8, "capsize": 2},
            )
            text = f"{height:.1f}" if ours else f"{height:.0f}"
            axes.text(x, height + deviation + 1.5, text, fontsize=7, rotation=90, ha="center", va="bottom")
    axes.set_xticks(range(len(MEASURES)), list(MEASURES.values()))
    axes.tick_params(axis="x", length=0)


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
