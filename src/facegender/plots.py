"""Figures without a display, in one hand, as PNG or SVG."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facegender.files import atomic_file


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
    # Without a salt of ours, an SVG's names are random every time.
    with atomic_file(path) as temporary, rc_context({"svg.hashsalt": "facegender"}):
        figure.savefig(temporary, dpi=150, format=kind, metadata={"Date": None} if kind == "svg" else None)
