"""Photos that belong together: the groups of a collection, and the clusters that a survey draws as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from facegender.errors import InputError
from facegender.survey.prevalence import FloatArray, IntArray

#: The group of photos about which the grouping column says nothing.
UNKNOWN = "(unknown)"

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_YEAR = re.compile(r"\d{4}(?!\d)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Groups:
    """A partition of the photos.

    Attributes:
        names: of the groups, in order: numbers and dates ascending, words by alphabet, the unknown last. Values of
            several columns are joined by a comma.
        values: for each group its value in each column.
        codes: int64, one a photo: the position of its group.
        ordered: there is one column, and its values are numbers or ISO dates.
    """

    names: Sequence[str]
    values: Sequence[tuple[str, ...]]
    codes: IntArray
    ordered: bool


def groups_of(photos: pd.DataFrame, group_by: Sequence[str]) -> Groups:
    """Group photos by each combination of values that occurs.

    Args:
        group_by: columns; ``year:10`` puts numbers, or the years of ISO dates, in bins of 10 that begin at multiples.

    Raises:
        InputError: no such column, a column twice, or a value that is no number where bins were asked for.
    """
    if len(set(group_by)) < len(group_by):
        raise InputError("a column to group by is given twice")
    words, keys, ordered = [], [], []
    for asked in group_by:
        column, width = _parsed(asked, photos)
        values = [word_of(value) for value in photos[column]]
        if width is not None:
            values = [_bin(value, width, column) for value in values]
        known = {value for value in values if value != UNKNOWN}
        numeric = width is not None or all(map(_NUMBER.fullmatch, known))
        ordered.append(bool(known) and (numeric or all(map(_DATE.fullmatch, known))))
        words.append(values)
        keys.append([(value == UNKNOWN, _start(value) if numeric else 0.0, value) for value in values])
    places = {each: key for each, key in zip(zip(*words, strict=True), zip(*keys, strict=True), strict=True)}
    unique = sorted(places, key=places.__getitem__)
    position = {each: i for i, each in enumerate(unique)}
    codes = np.fromiter((position[each] for each in zip(*words, strict=True)), np.int64)
    return Groups([", ".join(each) for each in unique], unique, codes, ordered == [True])


def _parsed(asked: str, photos: pd.DataFrame) -> tuple[str, float | None]:
    """The column, and the width of its bins."""
    if asked in photos:
        return asked, None
    column, _, width = asked.rpartition(":")
    if column in photos and _NUMBER.fullmatch(width) and float(width) > 0:
        return column, float(width)
    if column in photos:
        raise InputError(f"--group-by {asked}: the width of the bins must be a number above 0, not {width!r}")
    raise no_such_column(asked, photos)


def no_such_column(asked: str, photos: pd.DataFrame) -> InputError:
    """The error that names the columns that are there."""
    return InputError(
        f"neither the results nor the metadata have a column {asked!r}",
        remedy=f"they have: {', '.join(map(str, photos.columns))}",
    )


def word_of(value: object) -> str:
    """A cell as a word, without blanks around it; `UNKNOWN` where it is empty."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return UNKNOWN
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))  # a year, beside photos without one
    return str(value).strip() or UNKNOWN


def _bin(word: str, width: float, column: str) -> str:
    if word == UNKNOWN:
        return word
    if not _NUMBER.fullmatch(word) and not _YEAR.match(word):
        raise InputError(
            f"{word!r} in the column {column!r} is neither a number nor an ISO date, so it is in no bin",
            remedy="leave such cells empty, or group without bins",
        )
    number = float(word if _NUMBER.fullmatch(word) else word[:4])
    low = np.floor(number / width) * width
    if not float(width).is_integer():
        return f"{low:g} to under {low + width:g}"
    return f"{low:.0f}" if width == 1 else f"{low:.0f} to {low + width - 1:.0f}"


def _start(word: str) -> float:
    match = _NUMBER.match(word)
    return float(match[0]) if match else 0.0


@dataclass(frozen=True)
class Clusters:
    """A partition of the photos or videos.

    Attributes:
        column: those with the same value belong together.
        codes: int64, one a photo: its cluster, from 0.
        single: photos without a value; each is a cluster of its own.
    """

    column: str
    codes: IntArray
    single: int


def clusters_of(photos: pd.DataFrame, column: str) -> Clusters:
    """Photos with the same value in a column of `Results.photos`.

    Raises:
        InputError: there is no such column.
    """
    if column not in photos:
        raise no_such_column(column, photos)
    words = np.array([word_of(value) for value in photos[column]], object)
    codes, values = pd.factorize(words)
    codes = codes.astype(np.int64)
    without = words == UNKNOWN
    codes[without] = len(values) + np.arange(without.sum())
    return Clusters(column, np.unique(codes, return_inverse=True)[1], int(without.sum()))


def design_effect(deviations: FloatArray, single: IntArray, cluster: IntArray) -> float | None:
    """How many times as large the variance of a mean is where whole clusters are drawn.

    By linearization (L. Kish, "Survey sampling", 1965).

    Args:
        deviations: of N faces from the mean, each times its weight; their sum is 0.
        single: int64, N; the photo of each face, or what else would be drawn otherwise.
        cluster: int64, N.

    Returns:
        the ratio; None where there are fewer than two clusters, or no deviations.
    """

    def variance(drawn: IntArray) -> float:
        sums = np.bincount(np.unique(drawn, return_inverse=True)[1], deviations)
        return float((sums**2).sum() * len(sums) / (len(sums) - 1)) if len(sums) > 1 else np.nan

    without = variance(single)
    effect = variance(cluster) / without if without > 0 else np.nan
    return None if np.isnan(effect) else effect
