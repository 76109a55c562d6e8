"""Figure 3 of the paper, its values beside the measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from facegender.lab.benchmark.results import Benchmark, Timing
from facegender.lab.evaluation.styles import PRINTED_NAMES, STYLES, Style
from facegender.lab.paper import published
from facegender.plots import new_figure, plain, save_figure

_RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "torch": "PyTorch eager"}
#: For what the paper does not compare, and for a second network of the same architecture.
_GRAYS = ("#555555", "#999999", "#CCCCCC")
_SECOND_HATCHES = ("xxx", "\\\\\\", "ooo")
_BAR = 0.21


def draw_figure3(result: Benchmark) -> Figure:
    """Mean milliseconds an image at batch 1, log axis: the paper's three devices, then every way to run here."""
    single = [timing for timing in result.timings if timing.batch == 1 and timing.streams == 1]
    series = _series(single)
    names = {timing.network: label for label, timing in series.items() if timing is not None}
    styles = _styles(series)
    groups: list[tuple[str, Mapping[str, float]]] = [
        ("GTX 1080 Ti\n(GPU)", {row.network: row.gpu_gtx1080ti for row in published.figure3()}),
        ("Core i7-6700\n(CPU)", {row.network: row.cpu_i7_6700 for row in published.figure3()}),
        ("Movidius NCS\n(VPU)", {row.network: row.vpu_movidius_ncs for row in published.figure3()}),
    ]
    count_published = len(groups)
    for runtime, device, precision in dict.fromkeys((t.runtime, t.device, t.precision) for t in single):
        same = [t for t in single if (t.runtime, t.device, t.precision) == (runtime, device, precision)]
        title = f"{_RUNTIMES[runtime]}\n{device.upper()}, {precision}"
        groups.append((title, {names[t.network]: t.image_ms for t in same}))
    widths = [_BAR * len(bars) + 0.35 for _, bars in groups]
    figure = new_figure(max(7.0, 1.3 + 1.15 * sum(widths)), 4.6)
    axes = figure.add_subplot()
    drawn: set[str] = set()
    centres, left = [], 0.0
    for (_, bars), width in zip(groups, widths, strict=True):
        centre = left + width / 2
        places = [label for label in series if label in bars]
        for i, label in enumerate(places):
            style, value = styles[label], bars[label]
            x = centre + (i - (len(places) - 1) / 2) * _BAR
            axes.bar(
                x,
                value,
                _BAR,
                color=style.colour,
                hatch=style.hatch,
                edgecolor="black",
                linewidth=0.6,
                label=None if label in drawn else label,
            )
            drawn.add(label)
            axes.text(x, 1.03 * value, _short(value), fontsize=7, zorder=5, ha="center", va="bottom")
        centres.append(centre)
        left += width
    border = sum(widths[:count_published])
    axes.axvline(border, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    top = axes.get_xaxis_transform()
    axes.text(border / 2, 1.01, "published", transform=top, ha="center", va="bottom", fontsize=9)
    if len(groups) > count_published:
        middle = (border + left) / 2
        axes.text(middle, 1.01, f"measured: {result.machine}", transform=top, ha="center", va="bottom", fontsize=9)
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.set_xlim(0, left)
    axes.set_ylabel("mean milliseconds an image, batch 1 (log)")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xticks(centres, [title for title, _ in groups], fontsize=8)
    axes.tick_params(axis="x", length=0)
    plain(axes)
    figure.legend(loc="outside upper center", ncols=len(series), frameon=False, fontsize=9)
    return figure


def save_figure3(result: Benchmark, folder: Path) -> list[Path]:
    """Write ``figure3.png`` and ``figure3.svg``; returns their paths.

    Raises:
        OutputError: the folder cannot be written.
    """
    figure = draw_figure3(result)
    paths = [folder / "figure3.png", folder / "figure3.svg"]
    for path in paths:
        save_figure(figure, path)
    return paths


def _short(value: float) -> str:
    """Three figures, no exponent."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _series(timings: Sequence[Timing]) -> dict[str, Timing | None]:
    """Labels in the order of their bars, the paper's networks first, each with a timing of it where there is one."""
    series: dict[str, Timing | None] = {row.network: None for row in published.figure3()}
    for timing in {t.network: t for t in timings}.values():
        label = PRINTED_NAMES.get(timing.architecture, timing.network)
        if series.get(label) is not None:
            label = f"{label} ({timing.network})"
        series[label] = timing
    return series


def _styles(series: Mapping[str, Timing | None]) -> dict[str, Style]:
    """The paper's networks in their colours; a second one of the same in its colour, with another hatch."""
    styles: dict[str, Style] = {}
    others = 0
    for label, timing in series.items():
        base = PRINTED_NAMES.get(timing.architecture, "") if timing is not None else label
        if label in STYLES:
            styles[label] = STYLES[label]
            continue
        hatch = _SECOND_HATCHES[others % len(_SECOND_HATCHES)]
        styles[label] = replace(STYLES.get(base, Style(_GRAYS[others % len(_GRAYS)], "", "-.", "d")), hatch=hatch)
        others += 1
    return styles
