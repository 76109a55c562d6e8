"""How the networks are drawn in every figure: one colour a network, readable in gray."""

from __future__ import annotations

from dataclasses import dataclass


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
