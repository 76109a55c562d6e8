"""Labeled Faces in the Wild with the gender labels of Afifi and Abdelhamed.

G. B. Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49, 2007 (images, people.txt), and
M. Afifi, A. Abdelhamed, "AFIF4", JVCIR 62, 2019 (male_names.txt, female_names.txt).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from facegender.errors import DatasetError
from facegender.faces.types import Face
from facegender.lab.datasets.images import paths_by_name
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import identity_folds, random_folds
from facegender.lab.datasets.store import Split

#: The identity folds that are not for training: the recipes were chosen on 9, the shipped network is tested on 10.
VALIDATION_FOLD, TEST_FOLD = 9, 10

#: Every image of LFW has a face in its middle. Where it lies on average, as shares of the image's side.
USUAL_FACE = Face(
    box=(0.315, 0.251, 0.376, 0.517),
    landmarks=((0.416, 0.452), (0.587, 0.45), (0.503, 0.55), (0.43, 0.631), (0.579, 0.629)),
    score=0.0,
)


@dataclass(frozen=True)
class LabelLists:
    """What the two name lists say, cleaned.

    Attributes:
        labels: file name to 0 (female) or 1 (male).
        lines: number of non-empty lines in the female and in the male list.
        in_both: names in both lists; the five of LFW are women, and so such a name counts as female.
        completed: names that lacked their ``.jpg``.
        sha256: of both files together.
    """

    labels: dict[str, int]
    lines: tuple[int, int]
    in_both: tuple[str, ...]
    completed: tuple[str, ...]
    sha256: str


def read_label_lists(folder: Path) -> LabelLists:
    """Read ``female_names.txt`` and ``male_names.txt``: any line ends, a missing suffix added.

    Raises:
        DatasetError: a list is absent or empty.
    """
    names: list[list[str]] = []
    completed: list[str] = []
    digest = hashlib.sha256()
    for file in ("female_names.txt", "male_names.txt"):
        data = _read(folder / file)
        digest.update(data)
        lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
        if not lines:
            raise DatasetError(f"{folder / file} has no names", remedy="fetch the label list again")
        completed += [line + ".jpg" for line in lines if not line.endswith(".jpg")]
        names.append([line if line.endswith(".jpg") else line + ".jpg" for line in lines])
    female, male = names
    return LabelLists(
        labels={**dict.fromkeys(male, 1), **dict.fromkeys(female, 0)},
        lines=(len(female), len(male)),
        in_both=tuple(sorted(set(female) & set(male))),
        completed=tuple(sorted(completed)),
        sha256=digest.hexdigest(),
    )


def read_people(path: Path) -> dict[str, int]:
    """The official ten folds: person to fold number from 1 (LFW "view 2", ``people.txt``).

    Raises:
        DatasetError: the file is absent or not of that layout.
    """
    lines = _read(path).decode("utf-8", "replace").split("\n")
    folds: dict[str, int] = {}
    try:
        position = 1
        for fold in range(1, int(lines[0]) + 1):
            count = int(lines[position])
            block = lines[position + 1 : position + 1 + count]
            if len(block) < count:
                raise IndexError
            folds.update((line.split("\t")[0], fold) for line in block)
            position += 1 + count
    except (ValueError, IndexError) as error:
        raise DatasetError(f"{path} is cut short or not LFW's people.txt", remedy="fetch it again") from error
    return folds


@dataset(
    "lfw",
    "Labeled Faces in the Wild, with the gender labels of Afifi and Abdelhamed.",
    display_names=("LFW",),
    in_paper=True,
)
def list_lfw(
    source: Annotated[str, typer.Argument(help="Archive or folder: original, funneled or deep-funneled.")],
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder with female_names.txt, male_names.txt, people.txt.  [default: beside SOURCE]"),
    ] = None,
    *,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Continue where the lists name images that SOURCE lacks.")
    ] = False,
) -> Listing:
    """Every labelled photo of LFW, with the paper's random folds and the official ones by identity.

    Identity folds 1 to 8 are for training, 9 for validation, 10 for the test.

    Raises:
        DatasetError: source or lists are not what they should be.
    """
    lists = lists or Path(source).parent
    paths = paths_by_name(source)
    named = read_label_lists(lists)
    people = read_people(lists / "people.txt")
    absent = tuple(sorted(set(named.labels) - set(paths)))
    if absent and not allow_missing:
        raise DatasetError(
            f"the lists in {lists} name {len(absent)} images that {source} lacks, the first is {absent[0]}",
            remedy="complete the source, or pass --allow-missing",
        )
    images = sorted(set(paths) & set(named.labels))
    if not images:
        raise DatasetError(f"{source} holds none of the images that the lists in {lists} name")
    identities = [name.rpartition("_")[0] for name in images]
    labels = np.array([named.labels[name] for name in images], dtype=np.int64)
    identity = identity_folds(identities, people)
    splits: dict[int, Split] = {VALIDATION_FOLD: "validation", TEST_FOLD: "test"}
    return Listing(
        name="lfw",
        sources=[ImageRoot(source)],
        entries=[
            Entry(name, paths[name], named.labels[name], splits.get(fold, "train"), person)
            for name, person, fold in zip(images, identities, identity.tolist(), strict=True)
        ],
        folds={"random": random_folds(labels), "identity": identity},
        counts=[("lines in the label lists", *named.lines)],
        findings={
            "in both lists, counted once, as female": named.in_both,
            "in neither list, left out": sorted(set(paths) - set(named.labels)),
            "listed without .jpg, mended": named.completed,
            "listed but absent": absent,
        },
        usual=USUAL_FACE,
        complete=True,
        labels_sha256=hashlib.sha256(named.sha256.encode() + _read(lists / "people.txt")).hexdigest(),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}", remedy="pass --lists FOLDER") from error
