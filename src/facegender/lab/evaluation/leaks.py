"""Leaks: the same crop, the same photo or the same person in two splits or two datasets."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import Crops
from facegender.lab.datasets.splits import person
from facegender.lab.datasets.store import SPLITS, Store
from facegender.progress import track
from facegender.tables import write_csv

Kind: TypeAlias = Literal["copy", "near copy", "same person"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: A store's name and one of its splits.
Group: TypeAlias = tuple[str, str]

# The numbers below were chosen on 29,907 crops of CelebA, LFW, UTKFace and FairFace, among them 4,044 pairs of one
# CelebA photo in two of three sizes: 178x218, 89x109, and its frame squashed to 64x64. The search finds 97 %
# (whole and squashed) to 99 % (whole and half size) of these pairs. Its other finds are one photo under two names,
# or two photos of one moment; the most alike crops that are neither reach 0.83. In a search of all 134,880 crops of
# the four, 76 of the 78 least alike pairs inspected were such photos.
#: Candidates' least cosine between the crops' low frequencies.
_ALIKE = 0.8
#: Least correlation of the crops' details that makes two crops copies of one photo.
_SAME_PHOTO = 0.84
#: The details are what lies between two Gaussian blurs, pixels: what recompression and enlarging leave alone, and
#: what two faces in the same light do not share.
_FINE, _COARSE = 1.0, 3.0
#: How far two crops of a photo may be shifted against each other, pixels.
_SHIFT = 6
#: Deviation of a crop without details, gray levels.
_FLAT = 0.5

#: Crops compared at once: bounds the memory, 16 MB a block.
_BLOCK = 2048


@dataclass(frozen=True)
class Leak:
    """One face of a group, and its best match in another.

    Attributes:
        kind: ``copy``: the same bytes; ``near copy``: the same photo, or one of the same moment; ``same person``: the
            same name.
        store, split, image: the face.
        other_store, other_split, other_image: the match; there may be more in that group.
        similarity: of the details, in [-1, 1]; 1 for copies, None for persons.
    """

    kind: Kind
    store: str
    split: str
    image: str
    other_store: str
    other_split: str
    other_image: str
    similarity: float | None


@dataclass(frozen=True)
class LeakCount:
    """How many faces of one group have a match in another.

    Attributes:
        store, split, faces: the group and its size.
        other_store, other_split: the other group.
        copies, near_copies, same_person: faces by the kind of leak; None where people are not named.
        leaked: faces with a leak of any kind.
    """

    store: str
    split: str
    faces: int
    other_store: str
    other_split: str
    copies: int
    near_copies: int
    same_person: int | None
    leaked: int


def find_leaks(stores: Mapping[str, Store]) -> list[Leak]:
    """Every face with a copy, or of a person, that is also in another split or dataset; both sides are listed.

    Copies are found by a digest. Near copies first by the low frequencies of the crop's cosine transform, 8 x 8
    without the mean, as in perceptual hashes (C. Zauner, "Implementation and benchmarking of perceptual image hash
    functions", 2010). Aligned faces share most of these, so each is measured against its mean and deviation over all
    crops; and they are kept as numbers: at 99 % of the true pairs, 64 bits let 1 in 20,000 unrelated pairs through, the
    cosine of the numbers fewer than 1 in 100,000. All pairs are compared, in blocks. What is alike there is compared
    by its details, shifted against each other. Persons: equal names, whatever their case, accents and punctuation;
    names without letters are numbers that mean something in their own store only.

    Returns:
        the leaks, by kind, group and place in the store.
    """
    faces = _Faces(stores)
    links: dict[Kind, dict[tuple[int, int], tuple[float, int]]] = {
        "copy": dict(faces.alike(faces.digests)),
        "near copy": faces.near_copies(),
        "same person": dict(faces.alike(faces.people)),
    }
    return [
        Leak(
            kind,
            *(*faces.names[face], *faces.names[other]),
            similarity=None if kind == "same person" else round(float(similarity), 3),
        )
        for kind in KINDS
        for (face, _), (similarity, other) in sorted(links[kind].items())
    ]


def count_leaks(stores: Mapping[str, Store], leaks: Sequence[Leak]) -> list[LeakCount]:
    """The leaks between each group and each other, also where there are none."""
    found: dict[tuple[Group, Group], dict[Kind, set[str]]] = defaultdict(lambda: defaultdict(set))
    for leak in leaks:
        found[(leak.store, leak.split), (leak.other_store, leak.other_split)][leak.kind].add(leak.image)
    sizes = {(name, split): len(store.split(split)) for name, store in stores.items() for split in SPLITS}
    groups = [group for group, size in sizes.items() if size]
    named = {name for name, store in stores.items() if any(store.identities)}
    counts = []
    for group, other in permutations(groups, 2):
        kinds = found[group, other]
        counts.append(
            LeakCount(
                *(*group, sizes[group], *other),
                copies=len(kinds["copy"]),
                near_copies=len(kinds["near copy"]),
                same_person=len(kinds["same person"]) if {group[0], other[0]} <= named else None,
                leaked=len(set().union(*kinds.values())),
            )
        )
    return counts


def write_leaks(folder: Path, counts: Sequence[LeakCount], leaks: Sequence[Leak]) -> None:
    """Write ``leaks.csv``, the counts, and ``leaked_faces.csv``, the names.

    Raises:
        OutputError: the folder cannot be written.
    """
    for name, kind, rows in (("leaks.csv", LeakCount, counts), ("leaked_faces.csv", Leak, leaks)):
        write_csv(folder / name, [vars(row) for row in rows], [field.name for field in fields(kind)])


class _Faces:
    """All crops of several stores in one row, those of a group side by side."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        groups = [(name, split) for name in stores for split in SPLITS]
        indices = [stores[name].split(split) for name, split in groups]
        #: The store of each face, and which crop in it.
        self._places = [(stores[name], i) for (name, _), index in zip(groups, indices, strict=True) for i in index]
        #: int64, N: number of the group, ascending.
        self.group = np.repeat(np.arange(len(groups)), list(map(len, indices)))
        #: Store, split and image of each face.
        self.names = [(*groups[g], store.images[i]) for g, (store, i) in zip(self.group, self._places, strict=True)]
        self.digests: list[Hashable] = []
        frequencies = []
        for face in track(range(len(self._places)), "hashing", len(self._places)):
            crop = self._crop(face)
            self.digests.append(hashlib.blake2b(crop.tobytes(), digest_size=16).digest())
            frequencies.append(_low_frequencies(crop))
        self.hashes = _standardised(np.array(frequencies))
        pairs = zip(self.names, self._places, strict=True)
        self.people = [person(name, store.identities[i]) for (name, *_), (store, i) in pairs]
        self.details = lru_cache(_BLOCK)(self._details)

    def alike(self, keys: Sequence[Hashable]) -> Iterator[tuple[tuple[int, int], tuple[float, int]]]:
        """For each face and each other group with an equal key there: face and group, similarity 1 and first such face.

        A key of None is like no other.
        """
        members: dict[Hashable, list[int]] = defaultdict(list)
        for face, key in enumerate(keys):
            if key is not None:
                members[key].append(face)
        for faces in members.values():
            first: dict[int, int] = {}
            for face in faces:
                first.setdefault(int(self.group[face]), face)
            for face in faces:
                for group, other in first.items():
                    if group != self.group[face]:
                        yield (face, group), (1.0, other)

    def near_copies(self) -> dict[tuple[int, int], tuple[float, int]]:
        """For each face and each other group with a near copy there: its similarity and the nearest."""
        nearest: dict[tuple[int, int], tuple[float, int]] = {}
        for one, other in self._candidates():
            similarity = _registered(self.details(one), self.details(other))
            if similarity >= _SAME_PHOTO:
                for face, like in ((one, other), (other, one)):
                    key = face, int(self.group[like])
                    nearest[key] = max(nearest.get(key, (0.0, -1)), (similarity, like))
        return nearest

    def _candidates(self) -> Iterator[tuple[int, int]]:
        """Pairs from different groups, not copies, whose low frequencies are alike."""
        number = {digest: n for n, digest in enumerate(dict.fromkeys(self.digests))}
        digest = np.array([number[d] for d in self.digests])
        starts = range(0, len(self.group), _BLOCK)
        last = self.group[np.minimum(np.arange(len(self.group)) + _BLOCK, len(self.group)) - 1]
        blocks = [(i, j) for i in starts for j in starts if i <= j and self.group[i] != last[j]]
        for i, j in track(blocks, "comparing", len(blocks)):
            rows, columns = np.nonzero(self.hashes[i : i + _BLOCK] @ self.hashes[j : j + _BLOCK].T >= _ALIKE)
            rows, columns = rows + i, columns + j
            wanted = (rows < columns) & (self.group[rows] != self.group[columns]) & (digest[rows] != digest[columns])
            yield from zip(rows[wanted].tolist(), columns[wanted].tolist(), strict=True)

    def _crop(self, face: int) -> Crops:
        store, index = self._places[face]
        return np.asarray(store.crops[index])

    def _details(self, face: int) -> npt.NDArray[np.float32]:
        gray = _gray(self._crop(face))
        return np.asarray(cv2.GaussianBlur(gray, (0, 0), _FINE) - cv2.GaussianBlur(gray, (0, 0), _COARSE))


def _gray(crop: Crops) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)


def _low_frequencies(crop: Crops) -> npt.NDArray[np.float32]:
    small = cv2.resize(_gray(crop), (32, 32), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small)[:8, :8].ravel()[1:], np.float32)


def _standardised(frequencies: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1, or 0 where all are the mean, in units of each column's deviation."""
    frequencies = frequencies - frequencies.mean(0)
    frequencies /= np.maximum(frequencies.std(0), 1e-3)
    frequencies /= np.maximum(np.linalg.norm(frequencies, axis=1, keepdims=True), 1e-3)
    return frequencies


def _registered(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Largest correlation of the middle of one with a place in the other; 0 where there is nothing to see."""
    if min(one.std(), other.std()) < _FLAT:
        return 0.0
    middle = one[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    return float(cv2.matchTemplate(other, middle, cv2.TM_CCOEFF_NORMED).max())
