"""Figures without a display, in one hand: one colour a network, readable in gray, as PNG or SVG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facegender.files import atomic_file


@dataclass(frozen=True)
class Style:
    """How a network is drawn everywhere; hatch and line tell it from the others without colour."""

    colour: str
    hatch: str
    line: str
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


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, whose parts make room for each other."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, grid: str = "y") -> None:
    """No frame above and to the right, a faint grid along one axis or ``both``."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]  # matplotlib's stub wants literals
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG (150 dots an inch) or SVG, by the suffix of `path`, the same bytes for the same figure.

    Raises:
        OutputError: the folder cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    # Without a salt of ours, an SVG's names are drawn anew every time.
    with atomic_file(path) as temporary, rc_context({"svg.hashsalt": "facegender"}):
        figure.savefig(temporary, dpi=150, format=kind, metadata={"Date": None} if kind == "svg" else None)
