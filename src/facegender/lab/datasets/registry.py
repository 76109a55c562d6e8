"""The datasets that `facegender prepare` knows: each is one file that registers itself."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

import facegender.lab.datasets as package
from facegender.lab.datasets.listing import Listing

Lister = TypeVar("Lister", bound=Callable[..., Listing])

#: The group of entry points by which other packages have their datasets found.
ENTRY_POINTS = "facegender.datasets"


@dataclass(frozen=True)
class Dataset:
    """A dataset that can be prepared.

    Attributes:
        name: of the subcommand.
        help: what the subcommand says of it.
        list: lists its photos; its parameters, annotated as Typer wants them, are the subcommand's.
        in_paper: Table 2 of the paper has its listings, under their display names.
    """

    name: str
    help: str
    list: Callable[..., Listing]
    in_paper: bool


_datasets: dict[str, Dataset] = {}


def dataset(name: str, text: str, *, in_paper: bool = False) -> Callable[[Lister], Lister]:
    """Register a function that lists a dataset: ``@dataset("lamps", "Lamps, by their light.")``.

    Args:
        name: of the subcommand of ``facegender prepare``.
        text: its help.
        in_paper: Table 2 of the paper has it.
    """

    def register(list_photos: Lister) -> Lister:
        _datasets[name] = Dataset(name, text, list_photos, in_paper)
        return list_photos

    return register


def datasets() -> Mapping[str, Dataset]:
    """All datasets by name: of the modules beside this one, of other packages' entry points, and registered by hand."""
    _load()
    return dict(sorted(_datasets.items()))


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    for point in entry_points(group=ENTRY_POINTS):
        point.load()
