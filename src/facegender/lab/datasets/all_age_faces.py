"""All-Age-Faces: ages 2 to 80, mostly Asian; gender, age and an official split.

J. Cheng, Y. Li, J. Wang, L. Yu, S. Wang, "Exploiting effective facial patches for robust gender recognition",
Tsinghua Science and Technology 24(3), 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from facegender.errors import DatasetError
from facegender.faces.types import Face
from facegender.lab.datasets.images import base_name, copies_in, image_paths
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import hashed_splits
from facegender.lab.datasets.store import Split
from facegender.tables import digest, read_text

#: Where the face lies in a photo on average (studies/accuracy/usual_face.py), as shares of width and height.
USUAL_FACE = Face(
    box=(0.18, 0.286, 0.528, 0.606),
    landmarks=((0.321, 0.509), (0.561, 0.506), (0.441, 0.632), (0.34, 0.724), (0.548, 0.722)),
    score=0.0,
)

#: What the authors say of all faces; of a single one they say nothing.
RACE = "mostly Asian"

#: The folder of the photos as they are; the authors also ship aligned copies under the same names.
_ORIGINALS = "original images"
_SETS = "image sets"
#: Of the official train set, by the SHA-256 of the file; the official validation set is for the test.
_TRAIN_SHARES = (0.9, 0.1, 0.0)

#: ``SERIAL A AGE``.
_NAME = re.compile(r"(?P<serial>\d{5})A(?P<age>\d{2,3})")
#: In the lists 0 is female, as here; so are the serial numbers up to this one.
_LAST_WOMAN = 7380


@dataset(
    "all-age-faces",
    "All-Age-Faces: ages 2 to 80, mostly Asian; the official validation set without copies of the train set is the "
    "test split.",
)
def list_all_age_faces(
    source: Annotated[str, typer.Argument(help="Folder or archive with original images/00000A02.jpg ...")],
    sets: Annotated[
        Path | None,
        typer.Option(help="Folder with train.txt and val.txt.  [default: image sets, in SOURCE or beside it]"),
    ] = None,
) -> Listing:
    """Every photo that the lists name, each file once, with its age.

    Copies that contradict each other in gender are all left out. Of other copies, the one that stands in the train set
    is kept, and of equals the one whose name comes first.

    Raises:
        DatasetError: source or lists are not what they should be.
    """
    sets = sets or _sets_near(Path(source))
    official = {name: _read_list(sets / f"{name}.txt") for name in ("train", "val")}
    labels = {**official["val"], **official["train"]}
    if twice := official["train"].keys() & official["val"].keys():
        raise DatasetError(f"{min(twice)} is in train.txt and in val.txt in {sets}", remedy="give the authors' lists")
    paths = _original_paths(source)
    named = sorted(labels.keys() & paths.keys(), key=lambda name: (name not in official["train"], name))
    digests, groups, contradicting = copies_in(source, paths, {name: labels[name] for name in named})
    unique = sorted(names[0] for names in groups)
    across = [names for names in groups if len({name in official["train"] for name in names}) > 1]
    hashed = hashed_splits((digests[name] for name in unique), _TRAIN_SHARES)
    splits: list[Split] = [
        split if name in official["train"] else "test" for name, split in zip(unique, hashed, strict=True)
    ]
    answers = list(labels.values())
    return Listing(
        name="all-age-faces",
        sources=[ImageRoot(source)],
        entries=[
            Entry(name, paths[name], labels[name], split, attributes={"age": _age(name), "race": RACE})
            for name, split in zip(unique, splits, strict=True)
        ],
        counts=[("names in the lists", answers.count(0), answers.count(1))],
        findings={
            f"copies that contradict each other in gender (groups: {len(contradicting)}), left out": sorted(
                chain(*contradicting)
            ),
            f"copies of another file, left out (groups across the official sets: {len(across)})": sorted(
                name for names in groups for name in names[1:]
            ),
            "listed against the serial number's gender": [
                name for name in sorted(labels) if labels[name] != (int(name[:5]) > _LAST_WOMAN)
            ],
            "listed but absent": sorted(labels.keys() - paths.keys()),
            "in neither list, left out": sorted(paths.keys() - labels.keys()),
        },
        usual=USUAL_FACE,
        labels_sha256=digest([sets / "train.txt", sets / "val.txt"]),
    )


def _sets_near(source: Path) -> Path:
    places = [source / _SETS, source.parent / _SETS, source.parent]
    return next((place for place in places if (place / "train.txt").is_file()), places[0])


def _original_paths(source: str) -> dict[str, str]:
    """File name to path; of the photos below a folder ``original images`` where there is one."""
    every = image_paths(source)
    originals = [path for path in every if _ORIGINALS in PurePosixPath(path).parts]
    paths: dict[str, str] = {}
    for path in originals or every:
        if paths.setdefault(name := base_name(path), path) != path:
            raise DatasetError(f"{source} holds more than one image named {name}", remedy="give the original images")
    return paths


def _read_list(path: Path) -> Mapping[str, int]:
    """File name to 0 (female) or 1 (male)."""
    labels = {}
    for line in read_text(path).splitlines():
        name, _, gender = line.strip().partition(" ")
        if not name:
            continue
        if gender not in ("0", "1") or not _NAME.match(name):
            raise DatasetError(f"{path}: {line[:40]!r} is no name and gender", remedy="lines are like 00000A02.jpg 0")
        labels[name] = int(gender)
    if not labels:
        raise DatasetError(f"{path} has no names", remedy="fetch the lists again")
    return labels


def _age(name: str) -> str:
    match = _NAME.match(name)
    assert match is not None
    return str(int(match["age"]))
