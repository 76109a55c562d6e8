"""The networks by name. A new one is a file with a `Network` and a function under `register`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import torch

from facegender.errors import RecipeError
from facegender.lab.networks.network import Network

Builder = TypeVar("Builder", bound=Callable[..., Network])

_BUILDERS: dict[str, Callable[..., Network]] = {}


def register(builder: Builder) -> Builder:
    """Make a network known by the name of the function that builds it, with dashes: ``residual_wide``, residual-wide.

    The function takes the keywords ``channels``, ``classes``, ``dropout`` and ``input_size``, all with defaults.

    Raises:
        ValueError: the name is taken.
    """
    name = builder.__name__.replace("_", "-")
    if name in _BUILDERS:
        raise ValueError(f"there is a network {name!r} already")
    _BUILDERS[name] = builder
    return builder


def network_names() -> tuple[str, ...]:
    """Names of all networks, in the order in which they were registered."""
    return tuple(_BUILDERS)


def describe(
    name: str, *, channels: int = 3, classes: int = 2, dropout: float | None = None, input_size: int | None = None
) -> Network:
    """A network on PyTorch's meta device: its layers and shapes, without values.

    Args:
        dropout: of all dropout layers; None keeps the network's own.
        input_size: side of the input; None keeps the network's own.

    Raises:
        RecipeError: an unknown name, channels or classes below 1, a dropout outside [0, 1), or a size that the network
            cannot take.
    """
    if channels < 1 or classes < 1:
        raise RecipeError(f"a network needs at least one channel and one class, not {channels} and {classes}")
    if dropout is not None and not 0 <= dropout < 1:
        raise RecipeError(f"dropout must be in [0, 1), not {dropout}")
    if name not in _BUILDERS:
        raise RecipeError(f"unknown network {name!r}", remedy=f"one of {', '.join(_BUILDERS)}")
    options = {"channels": channels, "classes": classes, "dropout": dropout, "input_size": input_size}
    check_size(name, None, **options)
    with torch.device("meta"):
        return _build(name, **options).eval()


def check_size(name: str, side: int | None, **options: Any) -> None:
    """Check that a network runs on images of this side; None: of its own input size.

    Args:
        name: of a network.
        options: keywords of its builder; None keeps the network's own.

    Raises:
        RecipeError: it does not.
    """
    given = tuple((key, value) for key, value in options.items() if value is not None)
    try:
        _run(_BUILDERS[name], side, given)
    except (RuntimeError, ValueError) as error:
        asked = side or options.get("input_size")
        raise RecipeError(f"{name} cannot take an input of {asked} pixels: {error}") from error


@lru_cache(maxsize=256)
def _run(builder: Callable[..., Network], side: int | None, options: tuple[tuple[str, Any], ...]) -> None:
    with torch.device("meta"), torch.no_grad():
        built = builder(**dict(options)).eval()
        channels, full, _ = built.input_shape
        built(torch.empty(1, channels, side or full, side or full))


def network(name: str, **options: Any) -> Network:
    """A network with weights as PyTorch initialises them. Arguments and errors are those of `describe`."""
    describe(name, **options)
    return _build(name, **options)


def _build(name: str, **options: Any) -> Network:
    return _BUILDERS[name](**{key: value for key, value in options.items() if value is not None})
