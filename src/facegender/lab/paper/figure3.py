"""Figure 3 of the paper, its values beside the measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from facegender.lab.benchmark.results import Benchmark, Timing
from facegender.lab.evaluation.figures import PRINTED_NAMES, STYLES, Style
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
    styles, names = _series(single)
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
        places = [label for label in styles if label in bars]
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
    figure.legend(loc="outside upper center", ncols=len(styles), frameon=False, fontsize=9)
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


def _series(timings: Sequence[Timing]) -> tuple[dict[str, Style], dict[str, str]]:
    """Styles by label in the order of the bars, the paper's networks first; and the label of each network.

    A second network of one of the paper's architectures has its colour with another hatch, others are gray.
    """
    styles = {row.network: STYLES[row.network] for row in published.figure3()}
    labels: dict[str, str] = {}
    for timing in {t.network: t for t in timings}.values():
        printed = PRINTED_NAMES.get(timing.architecture, timing.network)
        label = f"{printed} ({timing.network})" if printed in labels.values() else printed
        labels[timing.network] = label
        if label not in styles:
            other = (len(styles) - len(STYLES)) % len(_GRAYS)
            base = STYLES.get(printed, Style(_GRAYS[other], "", "-.", "d"))
            styles[label] = replace(base, hatch=_SECOND_HATCHES[other])
    return styles, labels
