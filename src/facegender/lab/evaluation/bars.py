"""Measures of the networks beside what the paper prints (Figures 4 to 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from facegender.lab.evaluation.styles import STYLES
from facegender.plots import new_figure, plain, save_figure

#: The paper's measures, in its order, and what they are called in the figures.
MEASURES = {"accuracy": "accuracy", "tpr": "TPR", "fpr": "FPR", "precision": "precision"}

#: Of the room for one measure, what its bars fill.
_FILLED = 0.84


@dataclass(frozen=True)
class MeasuredNetwork:
    """What one network scored; all in [0, 1], by the names of `MEASURES`.

    Attributes:
        network: printed name, of `facegender.lab.evaluation.styles.STYLES`.
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
