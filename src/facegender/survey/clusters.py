"""Photos that belong together, such as those of one event, one shoot or one issue: what a survey draws as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from facegender.survey.groups import UNKNOWN, no_such_column, word_of
from facegender.survey.prevalence import FloatArray, IntArray


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
