"""The faces of a store that a network has not seen, the only ones to measure it on: one function for all who ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError
from facegender.lab.datasets.provenance import IntArray, Provenance, Seen, Use, face_digests, origins
from facegender.lab.datasets.store import Store

#: Words for crops of a store beside the names of its splits.
ALL, UNSEEN = "all", "unseen"
#: A store of which a larger share was used is one that the network knows, not one that has a few copies by chance.
_CHANCE = 0.01


@dataclass(frozen=True)
class Unseen:
    """Faces of a store that a network has not seen.

    Attributes:
        store: its name.
        split: what was asked for, or chosen.
        index: int64, ascending, at least one.
        left_out: how many faces of that split it has seen.
        network: its name.
        recognised: whether anything tells that the network has seen some of the store: a face, its digest or its name.
        namesake: it has seen a store of this name, of which this one has no face.
    """

    store: str
    split: str
    index: IntArray
    left_out: int
    network: str
    recognised: bool
    namesake: bool

    @property
    def note(self) -> str:
        """What was left out, or cannot be known, in words; "" where there is nothing to say."""
        if self.namesake and self.split != "test":
            return (
                f"{self.network} learned from a store {self.store}, and none of these faces is in its list: "
                "the same photos in other bytes are not recognised; their test split is safe"
            )
        if not self.left_out:
            return ""
        count = self.left_out + len(self.index)
        return (
            f"{self.left_out:,} of {count:,} faces of {self.store} {self.split} are left out: "
            f"{self.network} has seen them"
        )


def unseen(
    store: Store,
    provenance: Provenance,
    split: str | None = None,
    *,
    network: str = "the network",
    calibrating: bool = False,
    by_name: bool = True,
) -> Unseen:
    """The faces of one split of a store that a network has not seen.

    Where digests are known on both sides and some are the same, they decide face by face; else whole splits, or folds,
    of a store that has the digest or the name of one that was used.

    Args:
        split: a split, ``all``, or ``unseen`` for all that it has not seen; None takes the test split of a store that
            the network knows, if only by its name, and all of any other.
        calibrating: the faces are for a calibration: those of an earlier one count as unseen.
        by_name: a store of the same name may be the same; False where its name says nothing.

    Raises:
        InputError: no such split, or nothing of it is unseen.
    """
    records = [provenance.learned] if calibrating else [provenance.learned, provenance.calibrated]
    seen, used, other = _seen(store, records, by_name)
    if split is None:
        tested = len(store.split("test")) > 0
        known = seen.mean() > _CHANCE or used
        split = "test" if known or (other and tested) else ALL
        if known and not tested:
            raise InputError(
                f"store {store.name} has no test split, and {network} has seen others of its faces",
                remedy="test on another store",
            )
    if split == UNSEEN:
        index, left_out = np.flatnonzero(~seen), 0
    else:
        every = split_index(store, split)
        index = every[~seen[every]]
        left_out = len(every) - len(index)
    if not len(index):
        what = split if split != UNSEEN else ALL
        raise InputError(
            f"{network} has seen every face of {store.name} {what}: nothing can be measured on them",
            remedy="test on another store"
            + ("" if seen.all() else f", or on what it has not seen: evaluate, errors and audit --split {UNSEEN}"),
        )
    return Unseen(
        store.name,
        split,
        index,
        left_out,
        network,
        bool(seen.any()) or used,
        other,
    )


def split_index(store: Store, name: str) -> IntArray:
    """The crops of one split of a store, or of ``all``.

    Raises:
        InputError: no such split, or no crops in it.
    """
    index = np.arange(len(store)) if name == ALL else np.flatnonzero([split == name for split in store.splits])
    if not len(index):
        there = ", ".join(sorted(set(store.splits)))
        raise InputError(f"store {store.name} has no crops in the split {name!r}", remedy=f"it has: {there}, {ALL}")
    return index


def _seen(store: Store, records: Sequence[Seen], by_name: bool) -> tuple[npt.NDArray[np.bool_], bool, bool]:
    """N; whether each face of a store was used, or has to be taken for used.

    And whether a store of its name was used and has no complete list of its faces, so that its splits decide; or only
    such whose complete list has no face of this one.
    """
    mask, used, other = np.zeros(len(store), bool), False, False
    splits = np.array(store.splits)
    # Digests need every crop, so they are made only where there is something to compare them with.
    some = any(seen.faces is not None and len(seen.faces) for seen in records)
    digests = face_digests(store, np.arange(len(store))) if some else np.zeros((len(store), 2), np.uint64)
    for seen in records:
        known = np.empty(0, np.uint64) if seen.faces is None else seen.faces
        same = np.asarray(np.isin(digests, known).any(axis=1))
        mask |= same
        for name, sha256, there in origins(store):
            for use in seen.uses:
                if not (use.sha256 and use.sha256 == sha256) and not (by_name and use.name == name):
                    continue
                if not seen.listed:
                    used = True
                    mask |= there & _used(store, splits, use)
                elif not (same & there).any():
                    other = True
    return mask, used, other and not used


def _used(store: Store, splits: npt.NDArray[np.str_], use: Use) -> npt.NDArray[np.bool_]:
    """N; whether each face is in a split, and in a fold, that was used."""
    used = np.isin(splits, list(use.splits))
    for key, numbers in use.folds.items():
        if key in store.folds:
            used &= np.isin(store.folds[key], numbers)
    return used
