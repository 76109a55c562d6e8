"""Faces of a collection whose gender people have written down: the strata that they are drawn from, and agreement."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from facegender.errors import DatasetError, InputError
from facegender.survey.prevalence import FloatArray, IntArray
from facegender.survey.rates import COARSE_SCORES
from facegender.survey.results import Results
from facegender.tables import read_table

#: The words of a label file; None where the gender cannot be seen, or where the row is empty.
LABELS: Mapping[str, int | None] = {"female": 0, "f": 0, "male": 1, "m": 1, "unclear": None, "u": None, "": None}

FaceT = TypeVar("FaceT", bound=Hashable)

#: Fewer labelled faces of a gender say nothing about it, unless most faces are labelled.
FEWEST = 5
#: A group with as many labels has error rates of its own.
OWN = 50
#: With this share of the faces labelled, the collection counts as labelled.
MOST = 0.5
#: Bound between poor and good faces.
_QUALITY = 0.5


@dataclass(frozen=True)
class Agreement:
    """Of faces that two people labelled.

    Attributes:
        faces: labelled by both; of more than two people, summed over the pairs.
        share: with the same answer (female, male or unclear), in [0, 1]; with strata, of the faces that they stand for.
        kappa: agreement beyond chance (J. Cohen, "A coefficient of agreement for nominal scales", Educational and
            Psychological Measurement 20, 1960); of more than two people, the mean over the pairs (R. J. Light, 1971).
            None where everyone always gives one and the same answer, so that chance alone explains all.
    """

    faces: int
    share: float
    kappa: float | None


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
    """What one person says about one face; `size` is its stratum's, or without one what the face itself stands for."""

    label: int | None
    stratum: str
    size: float


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
    every: defaultdict[int, list[_Answer]] = defaultdict(list)
    largest = False
    for path in paths:
        some, absent, of_largest = _read(path, collection)
        largest |= of_largest
        missed |= absent
        answers.append(some)
        for place, answer in some.items():
            every[place].append(answer)
    clear = {place: said[0].label for place, said in every.items() if {each.label for each in said} in ({0}, {1})}
    strata: dict[Hashable, tuple[str, float]] = {
        place: (said[0].stratum, said[0].size) for place, said in every.items()
    }
    weights = dict(zip(every, label_weights(list(every), strata), strict=True))
    women, men = (sum(count for (*_, label), count in missed.items() if label == gender) for gender in (0, 1))
    labelled = Labelled(
        np.array(list(clear), np.int64),
        np.array(list(clear.values()), np.int64),
        np.array([weights[place] for place in clear], np.float64),
        (women, men),
        len(every) - len(clear),
        agreement([{place: answer.label for place, answer in some.items()} for some in answers], strata),
        people=len(paths),
        largest=largest,
        moved=_moved(every, collection),
    )
    if min(labelled.women, labelled.men) < FEWEST and len(clear) < MOST * len(collection.faces):
        names = ", ".join(map(str, paths))
        raise InputError(
            f"{names} labels {labelled.women} women's and {labelled.men} men's faces that were found; "
            f"at least {FEWEST} of each are needed",
            remedy="label more photos",
        )
    return labelled


def _moved(every: Mapping[int, Sequence[_Answer]], collection: Results) -> int:
    """How many faces have a label whose stratum is not theirs, or was of another size; rows without one don't tell."""
    if not any(answer.stratum for said in every.values() for answer in said):
        return 0
    names, sizes = strata_of(collection)

    def is_moved(place: int, answer: _Answer) -> bool:
        return answer.stratum != names[place] or not same_size(answer.size, sizes[names[place]])

    return sum(any(is_moved(place, each) for each in said if each.stratum) for place, said in every.items())


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
            left_out = collection.copies and not collection.again
            other = ", or only under another name, as a copy of another photo" if left_out else ""
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
        stratum, weight = row.get("stratum", ""), _number(path, row, "weight", 1.0)
        of_stratum = _number(path, row, "stratum_faces", weight)
        found[place] = _Answer(label, stratum, of_stratum if stratum else weight)
    return found, missed, any(column not in row for row in rows)


def _number(path: Path, row: Mapping[str, str], column: str, default: float) -> float:
    text = row.get(column, "")
    if not text:
        return default
    number = float(pd.to_numeric(text, errors="coerce"))
    if not 0 < number < np.inf:
        raise InputError(f"{path} gives {row['path']} the {column} {text!r}, not a number above 0")
    return number


def strata_of(collection: Results) -> tuple[list[str], dict[str, float]]:
    """Two classes of quality, the bins of the score, and whether the face got an answer.

    Returns:
        for each of all faces of the collection the name of its stratum; and the faces of each stratum, weighted as
        their photos are, without copies.
    """
    faces = collection.faces
    good = faces["quality"].to_numpy() >= _QUALITY
    score = np.clip(np.searchsorted(COARSE_SCORES, faces["p_male"], side="right") - 1, 0, len(COARSE_SCORES) - 2)
    uncertain = (faces["label"] == "uncertain").to_numpy()
    names = [
        f"quality {'>=' if g else '<'} {_QUALITY:g}, score {COARSE_SCORES[s]:g} to {COARSE_SCORES[s + 1]:g}"
        + (", uncertain" if u else "")
        for g, s, u in zip(good.tolist(), score.tolist(), uncertain.tolist(), strict=True)
    ]
    # A copy is no other face to label.
    once = collection.photos["weight"].to_numpy(float) * ~collection.photos["path"].isin(collection.again).to_numpy()
    weight = once[faces["photo"].to_numpy()]
    unique, codes = np.unique(names, return_inverse=True)
    return names, dict(zip(unique.tolist(), np.bincount(codes, weight).tolist(), strict=True))


def same_size(one: float, other: float) -> bool:
    """Two sizes of a stratum are the same, as files write them."""
    return math.isclose(one, other, rel_tol=1e-6)


def agreement(
    answers: Sequence[Mapping[Hashable, int | None]], strata: Mapping[Hashable, tuple[str, float]] | None = None
) -> Agreement | None:
    """Of the answers that people give to faces; None where no two people labelled the same face.

    Args:
        strata: of each face the stratum that it was drawn from and its size, or ``""`` and the face's own weight; None:
            all faces count alike.
    """
    faces, same, kappas = 0, 0.0, []
    for one, other in combinations(answers, 2):
        both = [face for face in one if face in other]
        if not both:
            continue
        weights = label_weights(both, strata)
        total = sum(weights)
        said = [(one[face], other[face], weight) for face, weight in zip(both, weights, strict=True)]
        equal = sum(weight for a, b, weight in said if a == b) / total
        chance = 0.0
        for answer in (0, 1, None):
            by_one, by_other = (sum(each[2] for each in said if each[who] == answer) for who in (0, 1))
            chance += by_one * by_other / total**2
        faces += len(both)
        same += equal * len(both)
        if chance < 1:
            kappas.append((equal - chance) / (1 - chance))
    if not faces:
        return None
    return Agreement(faces, same / faces, sum(kappas) / len(kappas) if kappas else None)


def label_weights(looked_at: Sequence[FaceT], strata: Mapping[FaceT, tuple[str, float]] | None) -> list[float]:
    """How much each face stands for among those that were looked at."""
    if strata is None:
        return [1.0] * len(looked_at)
    looked = Counter(strata[face][0] for face in looked_at)
    return [size / looked[name] if name else size for name, size in map(strata.__getitem__, looked_at)]
