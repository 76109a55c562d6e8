"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from facegender.errors import RecipeError
from facegender.lab.networks.alexnet import alexnet
from facegender.lab.networks.custom_cnn import custom_cnn
from facegender.lab.networks.googlenet import googlenet
from facegender.lab.networks.layers import Network, trace
from facegender.lab.networks.residual import residual

_NETWORKS: dict[str, Callable[..., Network]] = {
    "custom-cnn-table1": partial(custom_cnn, "table1"),
    "custom-cnn-table3": partial(custom_cnn, "table3"),
    "alexnet": alexnet,
    "googlenet": googlenet,
    "residual": partial(residual, 16, (32, 64, 128), (1, 2, 2), "residual"),
    "residual-wide": partial(residual, 24, (48, 96, 192), (1, 1, 1), "residual-wide"),
    "residual-nano": partial(residual, 8, (16, 32, 80), (1, 1, 1), "residual-nano"),
}
NAMES = tuple(_NETWORKS)
_ONE_SIZE = ("custom-cnn-table1", "custom-cnn-table3")


def network(
    name: str, *, channels: int = 3, classes: int = 2, dropout: float | None = None, input_size: int | None = None
) -> Network:
    """The network called `name`, one of `NAMES`.

    Args:
        name: of the network.
        channels: of the input.
        classes: logits.
        dropout: of all dropout layers; None keeps the network's own.
        input_size: side of the input; None keeps the network's own, and the custom CNN takes no other.

    Raises:
        RecipeError: an unknown name, channels or classes below 1, a dropout outside [0, 1), or an impossible size.
    """
    if channels < 1 or classes < 1:
        raise RecipeError(f"a network needs at least one channel and one class, not {channels} and {classes}")
    if dropout is not None and not 0 <= dropout < 1:
        raise RecipeError(f"dropout must be in [0, 1), not {dropout}")
    if name not in NAMES:
        raise RecipeError(f"unknown network {name!r}", remedy=f"one of {', '.join(NAMES)}")
    if input_size is not None and name in _ONE_SIZE:
        raise RecipeError(f"{name} cannot take an input of {input_size} pixels", remedy="leave the size out")
    options = {"dropout": dropout, "input_size": input_size}
    try:
        built = _NETWORKS[name](
            channels=channels, classes=classes, **{key: value for key, value in options.items() if value is not None}
        )
        for _ in trace(built.layers, built.input_shape):
            pass
    except ValueError as error:
        raise RecipeError(f"{name} cannot take an input of {input_size} pixels: {error}") from error
    return built
