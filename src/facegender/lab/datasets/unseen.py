"""The faces of a store that a network has not seen, the only ones to measure it on: one function for all who ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """

    store: str
    split: str
    index: IntArray
    left_out: int
    network: str

    @property
    def note(self) -> str:
        """What was left out, in words; "" where nothing was."""
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

    Where digests are known on both sides they decide face by face; else whole splits, or folds, of a store that has the
    digest or the name of one that was used.

    Args:
        split: a split, ``all``, or ``unseen`` for all that it has not seen; None takes the test split of a store that
            the network knows, all of any other.
        calibrating: the faces are for a calibration: those of an earlier one count as unseen.
        by_name: a store of the same name may be the same; False where its name says nothing.

    Raises:
        InputError: no such split, or nothing of it is unseen.
    """
    records = [provenance.learned] if calibrating else [provenance.learned, provenance.calibrated]
    seen = _seen(store, records, by_name)
    if split is None:
        known = seen.mean() > _CHANCE or any(True for _ in _matches(store, records, by_name))
        split = "test" if known else ALL
        if known and not len(store.split("test")):
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
            remedy=f"--split {UNSEEN} takes what it has not seen" if not seen.all() else "test on another store",
        )
    return Unseen(store.name, split, index, left_out, network)


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


def _matches(store: Store, records: Sequence[Seen], by_name: bool) -> Iterator[tuple[Use, npt.NDArray[np.bool_]]]:
    """The uses to judge by splits and folds, since digests of faces cannot decide; and the crops that they concern."""
    for name, sha256, there in origins(store):
        for seen in records:
            for use in seen.uses:
                if use.sha256 and use.sha256 == sha256:
                    applies = not seen.listed
                else:
                    applies = by_name and use.name == name and (not seen.listed or not any(store.photos))
                if applies:
                    yield use, there


def _seen(store: Store, records: Sequence[Seen], by_name: bool) -> npt.NDArray[np.bool_]:
    """N; whether each face of a store was used, or has to be taken for used."""
    mask = np.zeros(len(store), bool)
    lists = [seen.faces for seen in records if seen.faces is not None and len(seen.faces)]
    if lists:
        mask |= np.isin(face_digests(store, np.arange(len(store))), np.concatenate(lists)).any(1)
    splits = np.array(store.splits)
    for use, there in _matches(store, records, by_name):
        used = there & np.isin(splits, list(use.splits))
        for key, numbers in use.folds.items():
            if key in store.folds:
                used &= np.isin(store.folds[key], numbers)
        mask |= used
    return mask
