"""Fold assignments: at random, and by identity; splits that do not change when photos are added; who is who."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError
from facegender.lab.datasets.store import SPLITS, Split

#: The shares of train, validation and test where a dataset's authors fixed none.
SHARES = (0.8, 0.1, 0.1)


def hashed_splits(keys: Iterable[str], shares: tuple[float, float, float] = SHARES) -> list[Split]:
    """The split of each key, by its SHA-256 alone: neither order nor number of the others matter.

    Args:
        keys: what belongs together has the same key: a person's name, say, or a photo's own digest.
        shares: of train, validation and test; they sum to 1.
    """
    bounds = list(accumulate(shares))[:-1]
    # As many bits as a float has, so that none is rounded up to 1.
    places = ((int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 11) / 2**53 for key in keys)
    return [SPLITS[bisect_right(bounds, place)] for place in places]


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

    Raises:
        DatasetError: a person has no fold.
    """
    absent = sorted({name for name in identities if name not in folds})
    if absent:
        raise DatasetError(f"{len(absent)} people have no fold, the first is {absent[0]}", remedy="check people.txt")
    return np.array([folds[name] for name in identities], dtype=np.int64)


def person(store: str, identity: str) -> Hashable:
    """What one person has in all stores: names count as equal whatever their case, accents and punctuation.

    Names without letters are numbers, which mean something in their own store only. None where the person is unknown.
    """
    plain = unicodedata.normalize("NFKD", identity)
    words = re.sub(r"[\W_]+", " ", "".join(c for c in plain if not unicodedata.combining(c))).casefold().strip()
    if not words:
        return None
    return words if any(c.isalpha() for c in words) else (store, identity)
