"""The groups of a collection: the values of a column in words, and their order."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

#: The group of photos that the grouping column says nothing of.
UNKNOWN = "(unknown)"

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def groups_of(photos: pd.DataFrame, group_by: str | None) -> tuple[list[str], bool]:
    """The group of each photo in words, and whether groups have an order."""
    if group_by is None:
        return [], False
    words = [_word(value) for value in photos[group_by]]
    known = {word for word in words if word != UNKNOWN}
    return words, bool(known) and (all(map(_number, known)) or all(_DATE.fullmatch(word) for word in known))


def _word(value: object) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return UNKNOWN
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))  # a year, beside photos without one
    return str(value).strip() or UNKNOWN


def _number(word: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", word) is not None


def order(ordered: bool) -> Callable[[str], tuple[bool, float, str]]:
    """The order of groups: by number or by word, the unknown last."""

    def key(word: str) -> tuple[bool, float, str]:
        return word == UNKNOWN, float(word) if ordered and _number(word) else 0.0, word

    return key
