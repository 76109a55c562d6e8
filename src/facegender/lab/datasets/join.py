"""Several prepared stores as one to train on, without the faces that would give a test away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facegender.errors import InputError
from facegender.faces.types import CROP_SIZE
from facegender.lab.datasets.splits import person
from facegender.lab.datasets.store import ORIGIN, SPLITS, Store, Table, create_store, inner
from facegender.progress import track

if TYPE_CHECKING:
    from facegender.lab.evaluation.leaks import Leak


def join_stores(
    stores: Mapping[str, Store], tests: Iterable[str], leaks: Iterable[Leak], output: Path
) -> dict[str, dict[str, int]]:
    """Write the train and validation crops of several stores as one store.

    A train crop that has a match among any validation or test crops is left out, as is a validation crop that has
    its like among test crops. Images are named ``STORE/IMAGE``, their attribute ``store`` is the store that they were
    prepared in, and the manifest has its digest; the test splits stay where they are.

    Args:
        tests: names of those that are tests as a whole: none of their crops is taken.
        leaks: faces of these stores that are in two splits or stores.
        output: folder of the joined store, which is called ``NAME+NAME``.

    Returns:
        for each store taken: how many train and validation crops it gave, and how many were left out.

    Raises:
        InputError: nothing to join, unknown tests, or stores that were cropped differently.
        OutputError: `output` cannot be written.
    """
    tests = set(tests)
    if unknown := tests - set(stores):
        raise InputError(f"{', '.join(sorted(unknown))} is none of the stores", remedy=f"one of {', '.join(stores)}")
    taken = {name: store for name, store in stores.items() if name not in tests}
    if not taken:
        raise InputError("every store is a test: there is nothing to join")
    first, *others = taken.values()
    for store in others:
        if _cropping(store) != _cropping(first):
            raise InputError(
                f"{store.name} and {first.name} were cropped differently", remedy="prepare both again, in the same way"
            )
    unwanted: set[tuple[str, str]] = set()
    for leak in leaks:
        other = "test" if leak.other_store in tests else leak.other_split
        if SPLITS.index(other) > SPLITS.index(leak.split):  # no split may show what a later one asks
            unwanted.add((leak.store, leak.image))

    rows, counts = _kept(taken, unwanted)
    if not rows:
        raise InputError("the stores have test crops alone", remedy="join stores with a train split")
    columns = sorted({key for store in taken.values() for key in store.attributes} - {ORIGIN})
    table = Table(
        images=[f"{store.name}/{store.images[row]}" for store, row in rows],
        identities=[_identity(store, row) for store, row in rows],
        labels=np.array([store.labels[row] for store, row in rows], np.int64),
        splits=[store.splits[row] for store, row in rows],
        folds={},
        attributes={
            ORIGIN: [store.attributes[ORIGIN][row] if store.parts else store.name for store, row in rows],
            **{
                key: [store.attributes[key][row] if key in store.attributes else "" for store, row in rows]
                for key in columns
            },
        },
        photos=[store.photos[row] if store.photos else "" for store, row in rows],
    )
    parts: dict[str, str] = {}
    for name, store in taken.items():
        parts |= store.parts or {name: store.digest}
    margin = min((store.wide.shape[1] - CROP_SIZE) // 2 for store in taken.values())
    with create_store(output, "+".join(taken), len(rows), margin) as writer:
        for place, (store, row) in enumerate(track(rows, "joining")):
            writer.put(place, inner(store.wide[row], margin))
        writer.finish(table, first.alignment, {"joined": counts, "parts": parts})
    return counts


def _kept(
    taken: Mapping[str, Store], unwanted: Collection[tuple[str, str]]
) -> tuple[list[tuple[Store, int]], dict[str, dict[str, int]]]:
    """The crops that are no tests and not unwanted, and how many of each store there are."""
    rows: list[tuple[Store, int]] = []
    counts: dict[str, dict[str, int]] = {}
    for name, store in taken.items():
        count = counts[name] = {"train": 0, "validation": 0, "left out": 0}
        for row, (image, split) in enumerate(zip(store.images, store.splits, strict=True)):
            if split != "test":
                leaks = (name, image) in unwanted
                count["left out" if leaks else split] += 1
                if not leaks:
                    rows.append((store, row))
    return rows, counts


def _cropping(store: Store) -> dict[str, Any]:
    """What decides the pixels of a crop; the method only says which face of a photo it is of."""
    return {key: value for key, value in store.alignment.items() if key != "method"}


def _identity(store: Store, row: int) -> str:
    """Whose face it is: a name is that of the same person everywhere, a number only within its store."""
    who = store.identities[row]
    return who if not who or isinstance(person(store.name, who), str) else f"{store.name}/{who}"
