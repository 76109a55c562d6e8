"""Accuracy by the annotations of a dataset: race, age, gender, whether the face was found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError
from facegender.lab.datasets.listing import FACE_SIZE
from facegender.lab.datasets.store import LABELS, Store
from facegender.lab.evaluation.metrics import IntArray, accuracy_interval
from facegender.tables import rounded

#: The genders of a subgroup, and both together.
GENDERS = (*LABELS, "both")
#: The attribute by which all faces are one group.
EVERYONE = "all"
#: Fewer faces than this say little.
FEW = 30

#: An attribute of more values than this tells faces apart, not groups of them.
MOST_VALUES = 30
#: Least height of each group of faces, pixels.
_SIZES = (0, 24, 48, 96, 192)
#: First year of each age group; FairFace's, so that datasets can be compared.
_AGES = (0, 3, 10, 20, 30, 40, 50, 60, 70)


@dataclass(frozen=True)
class Subgroup:
    """How a network did on the faces of one value of one attribute and one gender.

    Attributes:
        attribute, value: such as ``race`` and ``Indian``; ``unknown`` where the dataset does not say.
        gender: of `GENDERS`.
        count, right: faces, and those answered right.
        interval: of the accuracy, 95 %, of people where they are named.
    """

    attribute: str
    value: str
    gender: str
    count: int
    right: int
    interval: tuple[float, float]

    @property
    def accuracy(self) -> float:
        """In [0, 1]."""
        return self.right / self.count

    def to_dict(self) -> dict[str, Any]:
        """For a row of a table or a record; numbers have five decimals."""
        low, high = self.interval
        return {
            "attribute": self.attribute,
            "value": self.value,
            "gender": self.gender,
            "count": self.count,
            **rounded({"accuracy": self.accuracy, "accuracy_low": low, "accuracy_high": high}),
        }


def subgroups(store: Store, index: IntArray, right: npt.NDArray[np.bool_], attribute: str = EVERYONE) -> list[Subgroup]:
    """The subgroups of one attribute that have faces, in the order of its values.

    Args:
        index: of the crops that were answered.
        right: one truth value an index.
        attribute: a name of `Store.attributes`, or `EVERYONE` for the genders alone. Ages in years are gathered into
            FairFace's age groups.

    Raises:
        InputError: the store has no such attribute.
    """
    values = np.array(grouped(store, index, attribute)) if attribute != EVERYONE else np.full(len(index), EVERYONE)
    labels = store.labels[index]
    rows = []
    for value in sorted(set(values.tolist()), key=rank):
        for gender in GENDERS:
            mask = values == value
            if gender != "both":
                mask &= labels == LABELS.index(gender)
            if mask.any():
                people = [store.identities[i] for i in index[mask].tolist()]
                interval = accuracy_interval(right[mask], people)
                rows.append(Subgroup(attribute, value, gender, int(mask.sum()), int(right[mask].sum()), interval))
    return rows


def grouped(store: Store, index: IntArray, attribute: str) -> list[str]:
    """What one attribute says of each crop of `index`; numbers gathered into bands, ``unknown`` where it says nothing.

    Raises:
        InputError: the store has no such attribute.
    """
    if attribute not in store.attributes:
        known = ", ".join(store.attributes) or "none"
        raise InputError(f"store {store.name} has no attribute {attribute!r}", remedy=f"it has: {known}")
    words = store.attributes[attribute]
    return [value_of(attribute, words[i]) for i in index.tolist()]


def grouping_attributes(store: Store) -> list[str]:
    """The attributes of 2 to `MOST_VALUES` values: others do not group faces."""
    return [name for name, values in _values(store).items() if 1 < values <= MOST_VALUES]


def ungrouped_attributes(store: Store) -> list[str]:
    """The attributes of more values."""
    return [name for name, values in _values(store).items() if values > MOST_VALUES]


def _values(store: Store) -> dict[str, int]:
    """How many values each attribute has."""
    return {name: len({value_of(name, word) for word in words}) for name, words in store.attributes.items()}


def value_of(attribute: str, word: str) -> str:
    """What a word is grouped by: numbers in bands, ``unknown`` for none."""
    if attribute == "age" and word.isdecimal():
        return _band(int(word), _AGES)
    if attribute == FACE_SIZE and word.isdecimal():
        return _band(int(word), _SIZES)
    return word or "unknown"


def _band(number: int, starts: tuple[int, ...]) -> str:
    place = int(np.searchsorted(starts, number, side="right"))
    return f"more than {starts[-1]}" if place == len(starts) else f"{starts[place - 1]}-{starts[place] - 1}"


def rank(value: str) -> tuple[bool, float, str]:
    """Numbers by size, then words, then the unknown."""
    number = re.search(r"\d+", value)
    return value == "unknown", float(number.group()) if number else np.inf, value
