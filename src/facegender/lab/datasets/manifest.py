"""Your photos, described by a CSV file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from facegender.errors import DatasetError
from facegender.lab.datasets.folder import SPLIT_WORDS, NameOption, called
from facegender.lab.datasets.images import Place, image_paths
from facegender.lab.datasets.listing import FACE_SIZE, Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import hashed_splits, person
from facegender.lab.datasets.store import COLUMNS, ORIGIN, Split
from facegender.tables import digest, read_table

_LABELS = {"female": 0, "f": 0, "male": 1, "m": 1}

#: Columns with a meaning; any other is an attribute.
_OWN = ("path", "label", "identity", "split")
#: Columns that a store has beside those.
_TAKEN = ("", "found", FACE_SIZE, ORIGIN, *(column for column in COLUMNS if column not in _OWN))


@dataset("manifest", "Your photos, described by a CSV file.")
def list_manifest(
    manifest: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns path, label, perhaps identity, split, attributes.")
    ],
    name: NameOption = None,
    root: Annotated[
        str | None, typer.Option(help="Folder or archive that the paths start from.  [default: that of CSV]")
    ] = None,
) -> Listing:
    """Every photo that has a row, with its label, its person and split where they are given, and all other columns.

    Where the split is not given, it goes by a hash of the person, else of the path: 80, 10 and 10 per cent. Whoever
    has photos with a split and photos without has all of them there. Of each photo the largest face is taken.

    Raises:
        DatasetError: a file cannot be read, a row makes no sense, a person is in two splits, or all photos are absent.
    """
    place: Place = root or manifest.parent
    rows = {}
    for row in read_table(manifest, ("path", "label")):
        path = _from_root(row["path"], place)
        if path in rows:
            raise DatasetError(f"{manifest} has two rows for {row['path']}", remedy="keep one row a photo")
        rows[path] = row
    columns = [column for column in next(iter(rows.values()), {}) if column not in _OWN]
    if bad := [column for column in columns if column in _TAKEN or column.startswith("fold_")]:
        raise DatasetError(f"{manifest} has a column named {bad[0]!r}, which stores need", remedy="rename or remove it")

    labels = {path: _label(row, manifest) for path, row in rows.items() if row["label"]}
    there = {PurePosixPath(path).as_posix(): path for path in image_paths(place)}  # archives may begin them with "./"
    present = [path for path in labels if path in there]
    if labels and not present:
        raise DatasetError(
            f"{place} holds none of the {len(labels)} photos that {manifest} names, the first is {next(iter(labels))}",
            remedy="pass --root FOLDER",
        )
    genders = list(labels.values())
    return Listing(
        name=name or called(manifest),
        sources=[ImageRoot(place)],
        entries=[
            Entry(
                path,
                there[path],
                labels[path],
                split,
                rows[path].get("identity", ""),
                {column: rows[path][column] for column in columns},
            )
            for path, split in zip(present, _splits({path: rows[path] for path in present}, manifest), strict=True)
        ],
        counts=[("labelled rows", genders.count(0), genders.count(1))],
        findings={
            "without a label, left out": [path for path in rows if path not in labels],
            "absent or no photo, left out": [path for path in labels if path not in there],
        },
        labels_sha256=digest([manifest]),
    )


def _from_root(path: str, place: Place) -> str:
    """As `image_paths` gives it, but for a leading ``./``."""
    root = Path(place)
    if Path(path).is_absolute() and Path(path).is_relative_to(root.absolute()):
        return Path(path).relative_to(root.absolute()).as_posix()
    return PurePosixPath(path).as_posix()


def _label(row: Mapping[str, str], manifest: Path) -> int:
    label = row["label"].lower()
    if label not in _LABELS:
        raise DatasetError(
            f"{manifest} gives {row['path']} the label {row['label']!r}", remedy="write female or male, or f or m"
        )
    return _LABELS[label]


def _splits(rows: Mapping[str, Mapping[str, str]], manifest: Path) -> list[Split]:
    given: list[Split | None] = []
    people: dict[str, Split] = {}
    for path, row in rows.items():
        word, name = row.get("split", "").lower(), row.get("identity", "")
        if word and word not in SPLIT_WORDS:
            raise DatasetError(f"{manifest} gives {path} the split {word!r}", remedy="write train, validation or test")
        split = SPLIT_WORDS.get(word)
        given.append(split)
        if name and split and people.setdefault(name, split) != split:
            raise DatasetError(
                f"{manifest} has {name} in two splits, {people[name]} and {split}",
                remedy="a test on people who were trained on says nothing: keep each in one",
            )
    who = [row.get("identity", "") for row in rows.values()]
    hashed = hashed_splits(name or path for name, path in zip(who, rows, strict=True))
    splits = [split or people.get(name, by_hash) for split, name, by_hash in zip(given, who, hashed, strict=True)]
    first: dict[Hashable, tuple[str, Split]] = {}
    for name, split in zip(who, splits, strict=True):
        if (key := person("", name)) is None:
            continue
        before, its = first.setdefault(key, (name, split))
        if split != its:
            raise DatasetError(
                f"{manifest} has {before} in the split {its} and {name}, who counts as the same person, in {split}",
                remedy="write the name in one way, or numbers for different people",
            )
    return splits
