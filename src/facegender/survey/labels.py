"""Faces of a collection whose gender people have written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError, InputError
from facegender.survey.agreement import Agreement, agreement
from facegender.survey.prevalence import FloatArray, IntArray
from facegender.survey.results import Results
from facegender.survey.strata import same_size, strata_of
from facegender.tables import read_table

#: The words of a label file; None where the gender cannot be seen, or where the row is empty.
LABELS: Mapping[str, int | None] = {"female": 0, "f": 0, "male": 1, "m": 1, "unclear": None, "u": None, "": None}

#: Fewer labelled faces of a gender say nothing about it, unless most faces are labelled.
FEWEST = 5
#: A group with as many labels has error rates of its own.
OWN = 50
#: With this share of the faces labelled, the collection counts as labelled.
MOST = 0.5


@dataclass(frozen=True)
class Labelled:
    """Faces of known gender.

    Attributes:
        rows: int64, N; positions in `Results.faces`.
        labels: int64, N; 0 female, 1 male.
        weights: float64, N; how many faces of the collection each stands for, up to a factor.
        not_found: women's and men's photos without the face that was labelled.
        unclear: faces that were shown and got no label, or contradicting ones.
        agreement: of the labellers, where there are two or more.
        people: how many labelled.
        largest: some labels are of the first face of their photo, the largest, because the file numbers no faces.
        moved: labels that were drawn from other results than these.
    """

    rows: IntArray
    labels: IntArray
    weights: FloatArray
    not_found: tuple[int, int]
    unclear: int
    agreement: Agreement | None = None
    people: int = 1
    largest: bool = False
    moved: int = 0

    @property
    def women(self) -> int:
        """Faces of women."""
        return int((self.labels == 0).sum())

    @property
    def men(self) -> int:
        """Faces of men."""
        return int((self.labels == 1).sum())

    def among(self, faces: npt.NDArray[np.bool_]) -> Labelled:
        """Those among some of all faces of the collection; `faces` is true for these."""
        here = faces[self.rows]
        return replace(self, rows=self.rows[here], labels=self.labels[here], weights=self.weights[here])

    def known(self, faces: int) -> IntArray:
        """The label of each of all faces of the collection, int64; -1 where there is none."""
        known = np.full(faces, -1)
        known[self.rows] = self.labels
        return known


#: A photo, the number of its face where there is one, and its label.
_Missed: TypeAlias = tuple[int, int | None, int]


@dataclass(frozen=True)
class _Answer:
    """What one person says about one face."""

    label: int | None
    weight: float
    stratum: str
    stratum_faces: float

    @property
    def size(self) -> float:
        """Of its stratum; without one what the face itself stands for."""
        return self.stratum_faces if self.stratum else self.weight


def read_labels(paths: Sequence[Path], collection: Results) -> Labelled:
    """Whose faces are women's and men's.

    Args:
        paths: CSV files, one per labeller. Columns: ``path``; ``label`` (female, male, unclear, or their first letters;
            an empty one is as unclear); where another face than the first is meant ``face`` (or ``track``), the number
            that the results give it. The first face of a photo is the largest; a row with a label but an empty number
            says that the face was not found. ``weight`` is how many faces each stands for, 1 without that column.
            Files of `facegender label` have ``stratum`` and ``stratum_faces``; the weight is then the faces of the
            stratum by those of them that were shown. A face that people label differently is unclear.

    Raises:
        InputError: a file cannot be read, a row makes no sense or stands there twice, or fewer than 5 women's or
            men's faces are labelled where most faces are not.
    """
    answers: list[dict[int, _Answer]] = []
    missed: Counter[_Missed] = Counter()  # once, whatever number of people say so
    largest = False
    for path in paths:
        some, absent, of_largest = _read(path, collection)
        largest |= of_largest
        answers.append(some)
        missed |= absent
    every: dict[int, list[_Answer]] = {}
    for some in answers:
        for place, answer in some.items():
            every.setdefault(place, []).append(answer)
    looked: dict[str, int] = {}
    for said in every.values():
        looked[said[0].stratum] = looked.get(said[0].stratum, 0) + 1
    rows, labels, weights = [], [], []
    for place, said in every.items():
        if said[0].label is None or any(answer.label != said[0].label for answer in said):
            continue
        rows.append(place)
        labels.append(said[0].label)
        stratum = said[0].stratum
        weights.append(said[0].stratum_faces / looked[stratum] if stratum else said[0].weight)
    strata: dict[Hashable, tuple[str, float]] = {
        place: (said[0].stratum, said[0].size) for place, said in every.items()
    }
    women, men = (sum(count for (*_, label), count in missed.items() if label == gender) for gender in (0, 1))
    labelled = Labelled(
        np.array(rows, np.int64),
        np.array(labels, np.int64),
        np.array(weights, np.float64),
        (women, men),
        len(every) - len(rows),
        agreement([{place: answer.label for place, answer in some.items()} for some in answers], strata),
        people=len(paths),
        largest=largest,
        moved=_moved(every, collection),
    )
    if min(labelled.women, labelled.men) < FEWEST and len(rows) < MOST * len(collection.faces):
        names = ", ".join(map(str, paths))
        raise InputError(
            f"{names} labels {labelled.women} women's and {labelled.men} men's faces that were found; "
            f"at least {FEWEST} of each are needed",
            remedy="label more photos",
        )
    return labelled


def _moved(every: Mapping[int, Sequence[_Answer]], collection: Results) -> int:
    """How many faces have a label whose stratum is not theirs, or was of another size; rows without one don't tell."""
    drawn = [(place, answer) for place, said in every.items() for answer in said if answer.stratum]
    if not drawn:
        return 0
    names, sizes = strata_of(collection)
    return len(
        {
            place
            for place, answer in drawn
            if answer.stratum != names[place] or not same_size(answer.stratum_faces, sizes[names[place]])
        }
    )


def _read(path: Path, collection: Results) -> tuple[dict[int, _Answer], Counter[_Missed], bool]:
    """Read one file.

    Returns:
        the answers by position in `Results.faces`, the labels of faces that were not found, and whether the file
        numbers no faces.
    """
    try:
        rows = read_table(path, ("path", "label"))
    except DatasetError as error:
        raise InputError(str(error)) from error
    photos = {name.strip(): i for i, name in enumerate(collection.photos["path"])}  # as tables are read
    faces = {key: i for i, key in enumerate(zip(collection.faces["photo"], collection.faces["face"], strict=True))}
    column = "track" if collection.kind == "videos" else "face"
    first = collection.faces.groupby("photo")["face"].min().to_dict()
    found: dict[int, _Answer] = {}
    missed: Counter[_Missed] = Counter()
    for row in rows:
        word = row["label"].lower()
        if word not in LABELS:
            raise InputError(
                f"{path} gives {row['path']} the label {row['label']!r}", remedy="write female, male or unclear"
            )
        if row["path"] not in photos:
            other = (
                ", or only under another name, as a copy of another photo"
                if collection.copies and not collection.again
                else ""
            )
            raise InputError(f"{path} names {row['path']}, of which there are no results{other}")
        photo, label, number = photos[row["path"]], LABELS[word], row.get(column)
        if number and not number.isdecimal():
            raise InputError(f"{path} gives {row['path']} the {column} {number!r}, not a number")
        face = first.get(photo) if number is None else (int(number) if number else None)
        if face is None or (photo, face) not in faces:
            if label is not None:
                missed[photo, face, label] += 1
            continue
        place = faces[photo, face]
        if place in found:
            raise InputError(f"{path} labels {row['path']} twice", remedy="keep one row a face")
        weight = _number(path, row, "weight", 1.0)
        found[place] = _Answer(label, weight, row.get("stratum", ""), _number(path, row, "stratum_faces", weight))
    return found, missed, any(column not in row for row in rows)


def _number(path: Path, row: Mapping[str, str], column: str, default: float) -> float:
    text = row.get(column, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not 0 < number < np.inf:
        raise InputError(f"{path} gives {row['path']} the {column} {text!r}, not a number above 0")
    return number
