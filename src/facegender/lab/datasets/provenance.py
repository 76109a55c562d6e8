"""Provenance: one record of the faces that a network has used (`facegender.lab.datasets.unseen` asks it).

A store is recognised by its digest, a face by the digest of its photo file and by that of its crop: copies, other
names, other splits and joined stores change neither. Networks from before such records are known by the names of their
stores alone, which `Provenance.named` reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from facegender.lab.datasets.store import ORIGIN, Store
from facegender.weights import list_models

IntArray: TypeAlias = npt.NDArray[np.int64]
#: Digests of 64 bits; 0: unknown.
Digests: TypeAlias = npt.NDArray[np.uint64]

#: What is appended to the name of a network's file for the digests of the faces that it has seen.
SEEN_SUFFIX = ".seen.npz"


@dataclass(frozen=True)
class Use:
    """What of one store was used.

    Attributes:
        name: of the store.
        sha256: its digest, "" where only the name is known.
        splits: how many faces of each split.
        folds: for each fold assignment of the store, the numbers of the folds that these faces are in.
    """

    name: str
    sha256: str
    splits: Mapping[str, int]
    folds: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """Faces that were used.

    Attributes:
        uses: by store; of a joined store, the stores in it follow it.
        faces: uint64, ascending, digests of the photos and the crops; None where there is no such list.
        complete: the list has all of them; False where training began with a network that has none.
    """

    uses: tuple[Use, ...] = ()
    faces: Digests | None = None
    complete: bool = True

    @classmethod
    def of(cls, store: Store, index: IntArray) -> Seen:
        """The crops `index` of a store."""
        used = np.zeros(len(store), bool)
        used[index] = True
        uses = tuple(
            Use(
                name,
                sha256,
                dict(Counter(store.splits[i] for i in np.flatnonzero(used & there).tolist())),
                {key: np.unique(numbers[used & there]).tolist() for key, numbers in store.folds.items()},
            )
            for name, sha256, there in origins(store)
            if (used & there).any()
        )
        digests = np.unique(face_digests(store, index))
        return cls(uses, digests[digests != 0])

    def __or__(self, other: Seen) -> Seen:
        """Both together."""
        lists = [seen.faces for seen in (self, other) if seen.faces is not None]
        uses = self.uses + tuple(use for use in other.uses if use not in self.uses)
        return Seen(uses, np.unique(np.concatenate(lists)) if lists else None, self.listed and other.listed)

    @property
    def listed(self) -> bool:
        """Whether there is a list of all faces."""
        return self.faces is not None and self.complete

    def has_photo(self, digest: str, store: str, split: str) -> bool:
        """Whether a photo that is in no prepared store was used.

        Args:
            digest: of the photo (`facegender.lab.datasets.store.photo_digest`), "" where unknown.
            store: name of the dataset that it is from, which decides with `split` where digests cannot.
            split: its split there.
        """
        if self.faces is not None and digest:
            found = bool(np.isin(np.uint64(int(digest, 16)), self.faces))
            if found or self.complete:
                return found
        return any(use.name == store and split in use.splits for use in self.uses)

    @property
    def sha256(self) -> str:
        """Of the list of faces, "" without one."""
        return "" if self.faces is None else hashlib.sha256(self.faces.astype("<u8").tobytes()).hexdigest()

    def to_record(self) -> dict[str, Any]:
        """For a checkpoint or a card; the list of faces is stored elsewhere."""
        record = {"stores": [asdict(use) for use in self.uses], "faces_sha256": self.sha256}
        return record if self.faces is None else record | {"complete": self.complete}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], faces: Digests | None) -> Seen:
        """What `to_record` gave, with its list of faces where that is available.

        Raises:
            KeyError, TypeError: another record.
            ValueError: the list of faces is not the one that the record was made with.
        """
        seen = cls(tuple(Use(**use) for use in record["stores"]), faces, record.get("complete", True))
        if faces is not None and seen.sha256 != record["faces_sha256"]:
            raise ValueError("the list of the faces that it has seen is another network's")
        return seen


@dataclass(frozen=True)
class Provenance:
    """What a network has seen.

    Attributes:
        learned: it was trained on these faces.
        calibrated: its calibration and thresholds were fitted on these.
    """

    learned: Seen
    calibrated: Seen = Seen((), np.empty(0, np.uint64))

    @classmethod
    def named(cls, training_data: str, validated: Iterable[str] = ()) -> Provenance:
        """Of a network from before provenance was recorded: it learned from the train split of the stores of its name.

        A store may be called anything, also ``a+b``, so each run of words between plus signs may be a name.

        Args:
            training_data: names with ``+`` or commas between them.
            validated: names of the stores whose validation splits it was calibrated on.
        """
        names = {training_data.strip()}
        for text in re.split("[,;]", training_data):
            words = text.split("+")
            names |= {"+".join(words[i:j]).strip() for i, j in combinations(range(len(words) + 1), 2)}
        learned, calibrated = (
            Seen(tuple(Use(name, "", {split: 0}) for name in sorted(stores - {""})))
            for split, stores in (("train", names), ("validation", set(validated)))
        )
        return cls(learned, calibrated)

    @property
    def names(self) -> frozenset[str]:
        """Names that the stores have or may have from which it learned."""
        return frozenset(use.name for use in self.learned.uses)

    def to_record(self) -> dict[str, Any]:
        """For a card."""
        return {"learned_from": self.learned.to_record(), "calibrated_on": self.calibrated.to_record()}

    @classmethod
    def of(cls, path: Path) -> Provenance:
        """Of the exported network at `path`, by the card beside it; raises as `from_card` does."""
        return cls.from_card(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")), path)

    @classmethod
    def from_card(cls, card: Mapping[str, Any], path: Path) -> Provenance:
        """What the card of the network at `path` says; the list of faces beside it is read where there is one.

        Raises:
            KeyError, TypeError, ValueError, OSError: the record cannot be used, or the list is damaged or another's.
        """
        if "learned_from" not in card:
            return cls.named(card["training_data"], validation_sets(card))
        lists: dict[str, Digests] = {}
        beside = path.with_suffix(SEEN_SUFFIX)
        if beside.is_file():
            try:
                with np.load(io.BytesIO(beside.read_bytes()), allow_pickle=False) as file:
                    lists = dict(file)
            except (EOFError, zipfile.BadZipFile) as error:
                raise ValueError(f"{beside} is damaged") from error
        return cls(
            Seen.from_record(card["learned_from"], lists.get("learned")),
            Seen.from_record(card["calibrated_on"], lists.get("calibrated")),
        )


def validation_sets(card: Mapping[str, Any]) -> list[str]:
    """The stores on whose validation splits the network of a card was calibrated, in the card's order."""
    return [name.removesuffix(" validation") for name in card.get("validation", ())]


def face_digests(store: Store, index: IntArray) -> Digests:
    """Digests of the photo and of the crop of each face: uint64, len(index) x 2; 0 where the photo is not known."""
    digests = np.zeros((len(index), 2), np.uint64)
    for row, i in enumerate(index.tolist()):
        if store.photos and store.photos[i]:
            digests[row, 0] = int(store.photos[i], 16)
        digests[row, 1] = int.from_bytes(hashlib.blake2b(store.crops[i].tobytes(), digest_size=8).digest())
    return digests


def write_faces(file: IO[bytes], provenance: Provenance) -> None:
    """Write the lists of faces of a provenance, as far as it has them, for `Provenance.from_card`."""
    lists = {"learned": provenance.learned.faces, "calibrated": provenance.calibrated.faces}
    there: dict[str, Any] = {name: faces for name, faces in lists.items() if faces is not None}
    np.savez(file, **there)


def origins(store: Store) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """The store, then each of those that were joined in it: name, digest, which crops."""
    yield store.name, store.digest, np.ones(len(store), bool)
    for name, sha256 in store.parts.items():
        yield name, sha256, np.array([origin == name for origin in store.attributes[ORIGIN]])


def is_run(word: str | Path) -> bool:
    """Whether this names a training run, its folder or its ``model.safetensors``, and no shipped or exported network.

    A folder that has the name of a shipped network by chance is none.
    """
    path = Path(word)
    by_chance = str(word) in list_models() and not (path / "model.safetensors").exists()
    return path.suffix == ".safetensors" or (path.is_dir() and not by_chance)
