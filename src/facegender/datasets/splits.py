"""Fold assignments: at random, and by identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError


def random_folds(labels: npt.NDArray[np.int64], folds: int = 10, seed: int = 2020) -> npt.NDArray[np.int64]:
    """Shuffled folds with the same share of each label in every fold.

    The paper's protocol ("10 folds, each with both genders"). The same person may stand on both sides of a
    split (paper README, contradiction 6): report `identity_folds` beside it.

    Returns:
        int64, N; fold numbers from 1.
    """
    rng = np.random.default_rng(seed)
    assignment = np.zeros(len(labels), dtype=np.int64)
    start = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        assignment[members] = (np.arange(len(members)) + start) % folds + 1
        start += len(members)
    return assignment


def identity_folds(identities: Sequence[str], folds: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Folds by person, as a dataset's authors fixed them.

    Args:
        identities: the person of each image.
        folds: the fold of each person.

    Raises:
        DatasetError: a person has no fold.
    """
    absent = sorted({name for name in identities if name not in folds})
    if absent:
        raise DatasetError(f"{len(absent)} people have no fold, the first is {absent[0]}", remedy="check people.txt")
    return np.array([folds[name] for name in identities], dtype=np.int64)
