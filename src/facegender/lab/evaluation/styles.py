"""How the networks are drawn in every figure: one colour a network, readable in gray."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import TypeAlias

#: A name of Matplotlib's, or an offset and the lengths of dashes and gaps.
Line: TypeAlias = str | tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Style:
    """How a network is drawn everywhere; hatch and line tell it from the others without colour."""

    colour: str
    hatch: str
    line: Line
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
