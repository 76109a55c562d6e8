"""The networks by name."""

from __future__ import annotations

from facegender.errors import RecipeError
from facegender.networks.alexnet import alexnet
from facegender.networks.custom_cnn import custom_cnn
from facegender.networks.googlenet import googlenet
from facegender.networks.layers import Network

NAMES = ("custom-cnn-table1", "custom-cnn-table3", "alexnet", "googlenet")


def network(name: str, *, channels: int = 3, classes: int = 2, dropout: float | None = None) -> Network:
    """The network called `name`, one of `NAMES`; `dropout` None keeps the network's own.

    Raises RecipeError for an unknown name, channels or classes below 1, or a dropout outside [0, 1).
    """
    if channels < 1 or classes < 1:
        raise RecipeError(f"a network needs at least one channel and one class, not {channels} and {classes}")
    if dropout is not None and not 0 <= dropout < 1:
        raise RecipeError(f"dropout must be in [0, 1), not {dropout}")
    match name:
        case "custom-cnn-table1":
            return custom_cnn("table1", channels, classes, 0.5 if dropout is None else dropout)
        case "custom-cnn-table3":
            return custom_cnn("table3", channels, classes, 0.5 if dropout is None else dropout)
        case "alexnet":
            return alexnet(channels, classes, 0.5 if dropout is None else dropout)
        case "googlenet":
            return googlenet(channels, classes, 0.4 if dropout is None else dropout)
    raise RecipeError(f"unknown network {name!r}", remedy=f"one of {', '.join(NAMES)}")
