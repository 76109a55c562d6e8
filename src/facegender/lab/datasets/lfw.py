"""Labeled Faces in the Wild with the gender labels of Afifi and Abdelhamed.

G. B. Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49, 2007 (images, people.txt), and
M. Afifi, A. Abdelhamed, "AFIF4", JVCIR 62, 2019 (male_names.txt, female_names.txt).
"""

from __future__ import annotations

import hashlib
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
from facegender.lab.datasets.store import LABELS, Split

#: The identity folds that are not for training: the recipes were chosen on 9, the shipped network is tested on 10.
VALIDATION_FOLD, TEST_FOLD = 9, 10

#: Every image of LFW has a face in its middle. Where it lies on average, as shares of the image's side.
USUAL_FACE = Face(
    box=(0.315, 0.251, 0.376, 0.517),
    landmarks=((0.416, 0.452), (0.587, 0.45), (0.503, 0.55), (0.43, 0.631), (0.579, 0.629)),
    score=0.0,
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
    files = [lists / f"{gender}_names.txt" for gender in LABELS]
    listed = [_read_names(file) for file in files]
    female, male = ([f"{name.removesuffix('.jpg')}.jpg" for name in names] for names in listed)
    # A name in both lists counts as female: the five of LFW are women.
    label_of = dict.fromkeys(male, 1) | dict.fromkeys(female, 0)
    people = read_people(lists / "people.txt")
    absent = tuple(sorted(set(label_of) - set(paths)))
    if absent and not allow_missing:
        raise DatasetError(
            f"the lists in {lists} name {len(absent)} images that {source} lacks, the first is {absent[0]}",
            remedy="complete the source, or pass --allow-missing",
        )
    images = sorted(set(paths) & set(label_of))
    if not images:
        raise DatasetError(f"{source} holds none of the images that the lists in {lists} name")
    identities = [name.rpartition("_")[0] for name in images]
    labels = np.array([label_of[name] for name in images], dtype=np.int64)
    identity = identity_folds(identities, people)
    splits: dict[int, Split] = {VALIDATION_FOLD: "validation", TEST_FOLD: "test"}
    read = hashlib.sha256(b"".join(map(_read, files))).hexdigest()
    return Listing(
        name="lfw",
        sources=[ImageRoot(source)],
        entries=[
            Entry(name, paths[name], label_of[name], splits.get(fold, "train"), person)
            for name, person, fold in zip(images, identities, identity.tolist(), strict=True)
        ],
        folds={"random": random_folds(labels), "identity": identity},
        counts=[("lines in the label lists", len(female), len(male))],
        findings={
            "in both lists, counted once, as female": sorted(set(female) & set(male)),
            "in neither list, left out": sorted(set(paths) - set(label_of)),
            "listed without .jpg, mended": sorted(
                f"{name}.jpg" for names in listed for name in names if not name.endswith(".jpg")
            ),
            "listed but absent": absent,
        },
        usual=USUAL_FACE,
        complete=True,
        labels_sha256=hashlib.sha256(read.encode() + _read(lists / "people.txt")).hexdigest(),
    )


def _read_names(path: Path) -> list[str]:
    """The lines that are not empty, whatever ends them."""
    lines = [line.strip() for line in _read(path).decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        raise DatasetError(f"{path} has no names", remedy="fetch the label list again")
    return lines


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}", remedy="pass --lists FOLDER") from error
