"""IMDB and WIKI: photos of celebrities, with what ``imdb.mat`` and ``wiki.mat`` say of them.

R. Rothe, R. Timofte, L. Van Gool, "Deep expectation of real and apparent age from a single image without facial
landmarks", IJCV 126, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from facegender.errors import DatasetError, needs
from facegender.lab.datasets.cropping import Box, face_in_box
from facegender.lab.datasets.images import Place, base_name, last_two, places_by_name
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import hashed_splits, person
from facegender.tables import digest

#: Neither the authors nor the paper state thresholds. A second face of positive score is a detection, and
#: 1.0 is what most users of the set ask of the first.
MAX_SECOND_SCORE, MIN_FACE_SCORE = 0.0, 1.0

#: The authors' crops have 40 % of the face's size on each side of it.
_CROP_MARGIN = 0.4

_OLDEST = 100

#: Attributes of `Annotations`, and what the files call them.
_NUMBERS = {"gender": "gender", "face_score": "face_score", "second_score": "second_face_score"}
_NUMBERS |= {"born": "dob", "taken": "photo_taken"}

#: Matlab counts days from the year 0, Python from the year 1.
_MATLAB_DAYS = 366


@dataclass(frozen=True)
class Annotations:
    """What a ``.mat`` file says of N photos.

    Attributes:
        name: ``imdb`` or ``wiki``.
        paths: ``01/nm0000001_....jpg`` and so on.
        people: names, "" where there is none.
        gender: float64, N; 0 female, 1 male, NaN unknown.
        face_score: float64, N; of the strongest face, not finite where there is none.
        second_score: float64, N; of the second-strongest face, NaN where there is none.
        locations: float64, N x 4; x1, y1, x2, y2 of the strongest face, counted from 1, the last included.
        born: float64, N; Matlab's serial date number.
        taken: float64, N; the photo's year.
    """

    name: str
    paths: Sequence[str]
    people: Sequence[str]
    gender: npt.NDArray[np.float64]
    face_score: npt.NDArray[np.float64]
    second_score: npt.NDArray[np.float64]
    locations: npt.NDArray[np.float64]
    born: npt.NDArray[np.float64]
    taken: npt.NDArray[np.float64]


def read_mat(path: Path) -> Annotations:
    """Read ``imdb.mat`` or ``wiki.mat``.

    Raises:
        MissingExtraError: SciPy is not installed.
        DatasetError: the file is absent, cut short, or not of that layout.
    """
    with needs("scipy", "train"):
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    remedy = "give imdb.mat or wiki.mat as the authors publish it"
    try:
        content = loadmat(path)
    except FileNotFoundError as error:
        raise DatasetError(f"there is nothing at {path}", remedy=remedy) from error
    # SciPy meets bytes that are no .mat file with many kinds of exception.
    except (MatReadError, ValueError, TypeError, NotImplementedError, OSError, KeyError, IndexError) as error:
        raise DatasetError(f"{path} cannot be read as a .mat file: {error}", remedy=remedy) from error
    name = next((key for key in ("imdb", "wiki") if key in content), None)
    if name is None:
        raise DatasetError(f"{path} holds neither imdb nor wiki", remedy=remedy)
    try:
        record = content[name].ravel()[0]
        numbers = {field: np.asarray(record[its], np.float64).ravel() for field, its in _NUMBERS.items()}
        paths, people = _words(record["full_path"]), _words(record["name"])
        locations = np.array([np.ravel(cell) for cell in np.ravel(record["face_location"])], np.float64)
        locations = locations.reshape(-1, 4)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path}: {name} has not the published fields: {error}", remedy=remedy) from error
    if {len(people), len(locations), *map(len, numbers.values())} != {len(paths)}:
        raise DatasetError(f"{path}: the fields of {name} are not of one length", remedy=remedy)
    return Annotations(name, paths, people, locations=locations, **numbers)


@dataset(
    "imdb-wiki",
    """IMDB or WIKI: photos of celebrities that show one face, in splits by person.

    Neither the authors nor the paper state thresholds; the defaults are the usual ones.
    """,
    in_paper=True,
)
def list_imdb_wiki(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Archives or folders with 00/, 01/ ...")],
    labels: Annotated[Path, typer.Option(help="imdb.mat or wiki.mat.")],
    *,
    max_second_score: Annotated[
        float, typer.Option(help="Leave out photos with a second face scored higher: the paper's filter.")
    ] = MAX_SECOND_SCORE,
    min_face_score: Annotated[
        float, typer.Option(help="Leave out photos whose face is scored lower.")
    ] = MIN_FACE_SCORE,
    crops: Annotated[
        bool, typer.Option("--crops", help="SOURCE holds the authors' face crops (imdb_crop, wiki_crop).")
    ] = False,
) -> Listing:
    """The photos that show one face, with its gender, in splits by person: 80, 10 and 10 per cent.

    The paper keeps "photos whose second-strongest face score is under a threshold", so that the face found is that of
    the person named. The splits go by a hash of the name, so a person of both sets is in the same split.

    Raises:
        MissingExtraError: SciPy is not installed.
        DatasetError: a source or the file is not what it should be, the two have nothing in common, or the sources
            hold face crops without `crops`.
    """
    annotations = read_mat(labels)
    places, copies = places_by_name(sources, last_two)
    _check_kind(sources, (path for _, path in places.values()), crops)

    known = np.isin(annotations.gender, (0, 1))
    there = np.isfinite(annotations.face_score) & np.isfinite(annotations.locations).all(1)
    sure = there & (annotations.face_score >= min_face_score)
    second = ~np.isnan(annotations.second_score)
    alone = ~second | (annotations.second_score <= max_second_score)
    row_of: dict[str, int] = {}
    for i in np.flatnonzero(known & sure & alone).tolist():
        row_of.setdefault(last_two(annotations.paths[i]), i)
    names = sorted(name for name in row_of if name in places)
    if row_of and not names:
        raise DatasetError(
            f"{', '.join(map(str, sources))}: none of the {len(row_of)} photos wanted of {labels}",
            remedy="give the archives or the folder with 00/, 01/ and so on",
        )
    splits = hashed_splits(str(person("", annotations.people[row_of[name]]) or name) for name in names)
    return Listing(
        name=annotations.name,
        sources=[ImageRoot(source) for source in sources],
        entries=[
            Entry(
                name,
                places[name][1],
                int(annotations.gender[row_of[name]]),
                split,
                annotations.people[row_of[name]],
                {"age": _age(annotations.born[row_of[name]], annotations.taken[row_of[name]])},
                None if crops else _box(annotations.locations[row_of[name]]),
                places[name][0],
            )
            for name, split in zip(names, splits, strict=True)
        ],
        counts=[
            (f"photos in {labels.name}", *_genders(annotations, known)),
            (f"whose face is scored {min_face_score:g} or more", *_genders(annotations, known & sure)),
            (f"and a second one {max_second_score:g} or less, or none", *_genders(annotations, known & sure & alone)),
            ("of them with a second one", *_genders(annotations, known & sure & alone & second)),
        ],
        findings={
            "photos of unknown gender, left out": int((~known).sum()),
            "photos without a face, left out": int((known & ~there).sum()),
            "rows without a photo": len(row_of) - len(names),
            "photos without a row that is wanted, left out": len(places) - len(names),
            "photos in several sources, taken from the first": copies,
        },
        usual=face_in_box(_middle()) if crops else None,
        labels_sha256=digest([labels]),
    )


def _words(cells: Any) -> list[str]:
    """The text in each cell of a Matlab cell array, "" where it is empty."""
    return [" ".join(str(cell.ravel()[0]).split()) if cell.size else "" for cell in map(np.asarray, np.ravel(cells))]


def _check_kind(sources: Iterable[Place], paths: Iterable[str], crops: bool) -> None:
    if crops:
        return
    folders = {part for path in paths for part in PurePosixPath(path).parts[:-1]}
    for name in sorted(folders) + [base_name(str(source)).split(".")[0] for source in sources]:
        if name.endswith("_crop"):
            raise DatasetError(
                f"{name} holds the authors' face crops, and the file tells where faces are in the whole photos",
                remedy="pass --crops",
            )


def _genders(annotations: Annotations, mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    return int((annotations.gender[mask] == 0).sum()), int((annotations.gender[mask] == 1).sum())


def _box(location: npt.NDArray[np.float64]) -> Box:
    left, top, right, bottom = location.tolist()
    return left - 1, top - 1, max(1.0, right - left + 1), max(1.0, bottom - top + 1)


def _middle() -> Box:
    """The face in one of the authors' crops of 1 x 1."""
    side = 1 / (1 + 2 * _CROP_MARGIN)
    return (1 - side) / 2, (1 - side) / 2, side, side


def _age(born: float, taken: float) -> str:
    """Years from the day of birth to the first of July of the photo's year, as the authors count; "" if implausible."""
    if not (math.isfinite(born) and 1 <= born - _MATLAB_DAYS <= date.max.toordinal()):
        return ""
    day = date.fromordinal(int(born) - _MATLAB_DAYS)
    age = int(taken) - day.year - ((day.month, day.day) > (7, 1))
    return str(age) if 0 <= age <= _OLDEST else ""
