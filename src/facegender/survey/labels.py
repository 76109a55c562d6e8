"""Faces of a collection whose gender somebody has written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError, InputError
from facegender.survey.results import Collection
from facegender.tables import read_table

IntArray: TypeAlias = npt.NDArray[np.int64]

#: Fewer labelled faces of a gender say nothing.
_FEWEST = 5


@dataclass(frozen=True)
class Labelled:
    """Faces of known gender.

    Attributes:
        rows: int64, N; positions in `Collection.faces`.
        labels: int64, N; 0 female, 1 male.
        not_found: women's and men's photos without the face that was labelled.
        unclear: rows without a label.
    """

    rows: IntArray
    labels: IntArray
    not_found: tuple[int, int]
    unclear: int

    @property
    def women(self) -> int:
        """Faces of women."""
        return int((self.labels == 0).sum())

    @property
    def men(self) -> int:
        """Faces of men."""
        return int((self.labels == 1).sum())


_LABELS: Mapping[str, int | None] = {"female": 0, "f": 0, "male": 1, "m": 1, "unclear": None, "": None}


def read_labels(path: Path, collection: Collection) -> Labelled:
    """Whose faces are women's and men's.

    Args:
        path: CSV with the columns ``path``, ``label`` (female, male, f, m; unclear or nothing leaves the face out) and,
            where another than the first is meant, ``face`` (or ``track``), the number that the results give it. The
            first face of a photo is the largest; a row with a label but an empty number says that the face was not
            found.
        collection: the results.

    Raises:
        InputError: the file cannot be read, a row makes no sense or stands there twice, or fewer than 5 women's or
            men's faces are labelled.
    """
    try:
        rows = read_table(path, ("path", "label"))
    except DatasetError as error:
        raise InputError(str(error)) from error
    photos = {name: i for i, name in enumerate(collection.photos["path"])}
    faces = {key: i for i, key in enumerate(zip(collection.faces["photo"], collection.faces["face"], strict=True))}
    column = "track" if collection.kind == "videos" else "face"
    first = collection.faces.groupby("photo")["face"].min().to_dict()
    found: dict[int, int] = {}
    missed, unclear = [0, 0], 0
    for row in rows:
        word = row["label"].lower()
        if word not in _LABELS:
            raise InputError(
                f"{path} gives {row['path']} the label {row['label']!r}", remedy="write female, male or unclear"
            )
        if row["path"] not in photos:
            raise InputError(f"{path} names {row['path']}, of which there are no results")
        photo, label, number = photos[row["path"]], _LABELS[word], row.get(column)
        if label is None:
            unclear += 1
            continue
        if number is not None and number and not number.isdecimal():
            raise InputError(f"{path} gives {row['path']} the {column} {number!r}, not a number")
        chosen = first.get(photo) if number is None else (int(number) if number else None)
        if chosen is None or (photo, chosen) not in faces:
            missed[label] += 1
            continue
        place = faces[photo, chosen]
        if place in found:
            raise InputError(f"{path} labels {row['path']} twice", remedy="keep one row a face")
        found[place] = label
    labelled = Labelled(
        np.fromiter(found.keys(), np.int64), np.fromiter(found.values(), np.int64), (missed[0], missed[1]), unclear
    )
    if min(labelled.women, labelled.men) < _FEWEST:
        raise InputError(
            f"{path} labels {labelled.women} women's and {labelled.men} men's faces that were found; "
            f"at least {_FEWEST} of each are needed",
            remedy="label more photos",
        )
    return labelled
