"""The prepared store: every face of a dataset as a 64x64 crop, beside a table of its annotations.

A store is a folder::

    crops.npy     uint8, N x S x S x 3, RGB; S is 64 and perhaps a margin on each side; opened memory-mapped
    table.csv     one row a crop: image, identity, label, split, perhaps photo_digest, a column a fold assignment, a
                  column an attribute
    store.json    name, number of crops, alignment, counts, byte sizes, SHA-256 of the table, photos without a
                  found face; its absence marks a half-written store

It is written into a temporary folder and renamed, so it is either whole or not there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError, OutputError, StoreError
from facegender.faces.types import CROP_SIZE, Crops
from facegender.files import atomic_folder, cut_half_line

FORMAT_VERSION = 3
LABELS = ("female", "male")

#: What a crop may be used for. No person, as far as a dataset tells people apart, is in two of them.
Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

#: Pixels that `prepare` keeps on each side of a crop, so that shifts and turns in training bring face into view.
MARGIN = 8

_LABEL_NUMBERS = {name: number for number, name in enumerate(LABELS)}

_CROPS, _TABLE, _MANIFEST = "crops.npy", "table.csv", "store.json"
#: Of an unfinished store: what it is made from, and which crops are there.
_BEGUN, _DONE = "begun.json", "done.jsonl"
_PHOTO = "photo_digest"
#: The attribute that names the store that a face of a joined store is from.
ORIGIN = "store"
#: Columns that every table may have.
COLUMNS = ("image", "identity", "label", "split", _PHOTO)


@dataclass(frozen=True)
class Table:
    """The annotations of N crops; no attribute is named like another column.

    Attributes:
        images: N names, unique.
        identities: N person names ("" where unknown).
        labels: int64, N; 0 female, 1 male.
        splits: N of `SPLITS`.
        folds: fold number per crop for each named assignment, int64, N, counted from 1.
        attributes: further annotations of each crop, such as ``race`` or ``age``: N words by name, "" where unknown.
        photos: N digests of the photo files that the crops are from (`photo_digest`), "" where unknown; or none.
    """

    images: Sequence[str]
    identities: Sequence[str]
    labels: npt.NDArray[np.int64]
    splits: Sequence[str]
    folds: Mapping[str, npt.NDArray[np.int64]]
    attributes: Mapping[str, Sequence[str]]
    photos: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Store(Table):
    """A prepared dataset, opened for reading: its table and its crops.

    Attributes:
        name: the dataset.
        wide: uint8, N x S x S x 3, RGB, memory-mapped and read-only: the crops with their margin, if they have one.
        alignment: how the faces were cropped; its ``template`` goes into the cards of networks trained on them.
        digest: SHA-256 of crops and table.
        parts: of a joined store, the digest of each store in it by name, "" where unknown; the attribute ``store``
            names that of each crop.
        not_found: the photos in which no face was found and which have no crop: ``image``, ``label``, ``split`` and the
            attributes that do not need a face.
    """

    name: str
    wide: Crops
    alignment: Mapping[str, Any]
    digest: str
    parts: Mapping[str, str] = field(default_factory=dict)
    not_found: Sequence[Mapping[str, str]] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def crops(self) -> Crops:
        """uint8, N x 64 x 64 x 3, RGB, memory-mapped and read-only."""
        return inner(self.wide)

    def fold(self, assignment: str) -> npt.NDArray[np.int64]:
        """The fold number of every crop under the named assignment.

        Raises:
            InputError: the store has no such assignment.
        """
        if assignment not in self.folds:
            known = ", ".join(self.folds) or "none"
            raise InputError(f"store {self.name} has no folds named {assignment!r}", remedy=f"it has: {known}")
        return self.folds[assignment]

    def split(self, name: Split) -> npt.NDArray[np.int64]:
        """The indices of the crops of one split; int64, ascending, perhaps none."""
        return np.flatnonzero([split == name for split in self.splits])


def inner(crops: Crops, margin: int = 0) -> Crops:
    """The middle 64 x 64 pixels, and `margin` around them, of crops (... x S x S x 3) that may have more; a view."""
    side = CROP_SIZE + 2 * margin
    start = (crops.shape[-2] - side) // 2
    return crops[..., start : start + side, start : start + side, :]


def photo_digest(data: bytes) -> str:
    """64 bits of a photo file's BLAKE2b in hexadecimal: equal for copies, whatever they are called."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a whole store.

    Raises:
        StoreError: the store is absent, half-written, cut short or of another version.
    """
    if not folder.is_dir():
        raise StoreError(f"there is no prepared store at {folder}", remedy="run: facegender prepare")
    again = _again(folder)
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT_VERSION:
            raise StoreError(f"{folder} is a store of format {manifest['format']}, not {FORMAT_VERSION}", remedy=again)
        for name, size in manifest["bytes"].items():
            found = (folder / name).stat().st_size
            if found != size:
                raise StoreError(f"{folder / name} has {found} bytes instead of {size}", remedy=again)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{folder} has no readable {_MANIFEST}: half-written or not a store", remedy=again) from error
    return dict(manifest)


def open_store(folder: str | Path) -> Store:
    """Open a prepared store; the crops are memory-mapped, not read.

    Raises:
        StoreError: the store is absent, half-written, cut short, altered or of another version.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        crops = np.load(folder / _CROPS, mmap_mode="r", allow_pickle=False)
        table = (folder / _TABLE).read_bytes()
        rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
        side = max(CROP_SIZE, crops.shape[1] // 2 * 2) if crops.ndim == 4 else CROP_SIZE
        if crops.dtype != np.uint8 or crops.shape != (len(rows), side, side, 3) or not rows:
            raise ValueError(f"{len(rows)} rows, but crops of {crops.dtype} {crops.shape}")
        if bad := {r["split"] for r in rows} - set(SPLITS):
            raise ValueError(f"unknown split {bad.pop()!r}")
        store = Store(
            name=manifest["name"],
            wide=crops,
            images=[r["image"] for r in rows],
            identities=[r["identity"] for r in rows],
            labels=np.array([_LABEL_NUMBERS[r["label"]] for r in rows], dtype=np.int64),
            splits=[r["split"] for r in rows],
            folds={
                column.removeprefix("fold_"): np.array([int(r[column]) for r in rows], dtype=np.int64)
                for column in rows[0]
                if column.startswith("fold_")
            },
            attributes={
                column: [r[column] for r in rows]
                for column in rows[0]
                if column not in COLUMNS and not column.startswith("fold_")
            },
            alignment=manifest["alignment"],
            digest=manifest["sha256"],
            photos=[r.get(_PHOTO, "") for r in rows],
            # Stores that were joined before digests were kept name their parts alone.
            parts=manifest.get("parts", dict.fromkeys(manifest.get("joined", {}), "")),
            not_found=manifest.get("not_found", ()),
        )
        # Stores from before the table had a digest of its own are taken as they are.
        digest = hashlib.sha256(table).hexdigest()
        if manifest.get("table_sha256", digest) != digest:
            raise ValueError(f"{_TABLE} was changed after it was written")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder} cannot be read: {error}", remedy=_again(folder)) from error
    return store


def open_stores(folders: Sequence[str | Path]) -> dict[str, Store]:
    """Open several stores, by their names.

    Raises:
        StoreError: as for `open_store`.
        InputError: two have the same name.
    """
    stores: dict[str, Store] = {}
    for folder in folders:
        store = open_store(folder)
        if store.name in stores:
            raise InputError(f"two of the stores are named {store.name}", remedy="give each dataset once")
        stores[store.name] = store
    return stores


def _again(folder: Path) -> str:
    return f"delete {folder} and run facegender prepare again"


class StoreWriter:
    """Fills a store of known length; made by `create_store`.

    Attributes:
        done: what was noted before an interruption, in that order.
    """

    def __init__(self, folder: Path, name: str, length: int, side: int) -> None:
        self._folder, self._name = folder, name
        noted = folder / _DONE
        self.done = list(map(json.loads, noted.read_text(encoding="utf-8").splitlines())) if noted.exists() else []
        if self.done:
            self._crops = np.lib.format.open_memmap(folder / _CROPS, mode="r+")
        else:
            self._crops = _new_crops(folder / _CROPS, length, side)

    def put(self, index: int, crop: Crops) -> None:
        """Store one crop with its margin, uint8 S x S x 3 RGB."""
        self._crops[index] = crop

    def note(self, *rows: Sequence[Any]) -> None:
        """Note crops that are stored, so that they are not made again after an interruption; as JSON, a row each."""
        with (self._folder / _DONE).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)

    def finish(
        self,
        table: Table,
        alignment: Mapping[str, Any],
        details: Mapping[str, Any],
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Write the table, then the manifest that makes the store whole; `details` are added to it.

        Args:
            rows: int64, ascending; the crops that are kept, where the table is not of all.
        """
        self._crops.flush()
        if rows is not None and len(rows) < len(self._crops):
            self._keep(rows)
        columns: dict[str, Iterable[object]] = {
            "image": table.images,
            "identity": table.identities,
            "label": [LABELS[label] for label in table.labels.tolist()],
            "split": table.splits,
            **({_PHOTO: table.photos} if any(table.photos) else {}),
            **{f"fold_{key}": numbers for key, numbers in table.folds.items()},
            **table.attributes,
        }
        with (self._folder / _TABLE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        digest, written = hashlib.sha256(), (self._folder / _TABLE).read_bytes()
        with (self._folder / _CROPS).open("rb") as crops:
            while chunk := crops.read(1 << 20):
                digest.update(chunk)
        digest.update(written)
        manifest = {
            "format": FORMAT_VERSION,
            "name": self._name,
            "crops": len(table.images),
            "alignment": dict(alignment),
            "sha256": digest.hexdigest(),
            "table_sha256": hashlib.sha256(written).hexdigest(),
            **details,
            "bytes": {file: (self._folder / file).stat().st_size for file in (_CROPS, _TABLE)},
        }
        for name in (_DONE, _BEGUN):
            (self._folder / name).unlink(missing_ok=True)
        (self._folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")

    def _keep(self, rows: npt.NDArray[np.int64]) -> None:
        beside = self._folder / (_CROPS + ".shorter")
        shorter = _new_crops(beside, len(rows), self._crops.shape[1])
        for start in range(0, len(rows), 1000):
            shorter[start : start + 1000] = self._crops[rows[start : start + 1000]]
        shorter.flush()
        beside.replace(self._folder / _CROPS)


def _new_crops(path: Path, length: int, side: int) -> np.memmap[Any, np.dtype[np.uint8]]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(length, side, side, 3))


@contextmanager
def create_store(
    folder: str | Path, name: str, length: int, margin: int = 0, *, source: Mapping[str, Any] | None = None
) -> Iterator[StoreWriter]:
    """Write a store of `length` crops, each with `margin` pixels on each side.

    It appears at `folder` only when the block ends without an exception. A store of the same name that is already
    there, whole or not, is replaced.

    Args:
        source: what the crops are made from, as JSON has it. An interrupted store is gone on with where it is the same.

    Raises:
        OutputError: the parent folder cannot be written, or `folder` holds another store, or files that are no part of
            one.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or {p.name for p in folder.iterdir()} - {_CROPS, _TABLE, _MANIFEST}):
        raise OutputError(f"{folder} exists and is not a prepared store", remedy="choose another --output")
    with suppress(StoreError):
        if (there := read_manifest(folder)["name"]) != name:
            raise OutputError(f"{folder} holds the store {there}, not {name}", remedy="choose another --output")
    with atomic_folder(folder, resume=source is not None) as temporary:
        if source is not None:
            begun, what = temporary / _BEGUN, json.dumps(source)
            if not begun.exists() or begun.read_text(encoding="utf-8") != what:
                for path in temporary.iterdir():
                    path.unlink()
                begun.write_text(what, encoding="utf-8")
            cut_half_line(temporary / _DONE)
        yield StoreWriter(temporary, name, length, CROP_SIZE + 2 * margin)
