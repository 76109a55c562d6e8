"""FairFace, the copy with padding 0.25: balanced over seven race groups.

K. Karkkainen, J. Joo, "FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age", WACV 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from facegender.errors import DatasetError
from facegender.faces.types import Face
from facegender.lab.datasets.images import last_two, places_by_name
from facegender.lab.datasets.listing import Entry, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.splits import hashed_splits
from facegender.tables import digest, read_table

#: The labelled face is in the middle. Where it lies on average (studies/accuracy/usual_face.py), as shares of the side.
USUAL_FACE = Face(
    box=(0.105, -0.047, 0.791, 1.006),
    landmarks=((0.328, 0.309), (0.666, 0.303), (0.501, 0.516), (0.36, 0.681), (0.65, 0.675)),
    score=0.0,
)

#: Of the train photos, by the SHA-256 of their name; the validation photos are for the test.
_TRAIN_SHARES = (0.9, 0.1, 0.0)

_LABELS = {"female": 0, "male": 1}

#: Ages that a spreadsheet took for days.
_CORRECTED_AGES = {"03-Sep": "3-9", "3-Sep": "3-9", "Oct-19": "10-19"}


@dataset(
    "fairface",
    "FairFace (padding 0.25), with age group and race; the authors' validation photos are the test split.",
)
def list_fairface(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Archives or folders with train/1.jpg, val/1.jpg ...")
    ],
    labels: Annotated[
        list[Path], typer.Option("--labels", help="fairface_label_train.csv, fairface_label_val.csv; may be .gz.")
    ],
) -> Listing:
    """Every photo that has a label, with age group and race.

    The authors' validation photos are the test split; of their train photos a tenth is the validation split.

    Raises:
        DatasetError: a source or a label file is not what it should be, or the two have nothing in common.
    """
    rows = _read_labels(labels)
    places, copies = places_by_name(sources, last_two)
    names = [name for name in rows if name in places]
    if not names:
        raise DatasetError(
            f"{', '.join(map(str, sources))}: none of the photos that the label files name",
            remedy="give what holds the folders train/ and val/",
        )
    genders = [_LABELS[row["gender"].lower()] for row in rows.values()]
    corrected = sum(rows[name]["age"] in _CORRECTED_AGES for name in names)
    return Listing(
        name="fairface",
        sources=[ImageRoot(source) for source in sources],
        entries=[
            Entry(
                name,
                path,
                _LABELS[rows[name]["gender"].lower()],
                "test" if name.startswith("val/") else split,
                attributes={
                    "age": _CORRECTED_AGES.get(rows[name]["age"], rows[name]["age"]),
                    "race": rows[name]["race"],
                },
                source=source,
            )
            for name, split in zip(names, hashed_splits(names, _TRAIN_SHARES), strict=True)
            for source, path in [places[name]]
        ],
        counts=[("rows in the label files", genders.count(0), genders.count(1))],
        findings={
            "ages that a spreadsheet took for days, mended": corrected,
            "rows without a photo": len(rows) - len(names),
            "photos without a row, left out": len(places) - len(names),
            "photos in several sources, taken from the first": copies,
        },
        usual=USUAL_FACE,
        labels_sha256=digest(labels),
    )


def _read_labels(paths: Sequence[Path]) -> Mapping[str, Mapping[str, str]]:
    """``train/1.jpg`` and so on to its row, in the order of the files."""
    rows: dict[str, Mapping[str, str]] = {}
    for path in paths:
        for row in read_table(path, ("file", "age", "gender", "race")):
            name = last_two(row["file"])
            if not name.startswith(("train/", "val/")):
                raise DatasetError(f"{path} names {name}, which is in neither train/ nor val/")
            if row["gender"].lower() not in _LABELS:
                raise DatasetError(f"{path} gives {name} the gender {row['gender']!r}, not Female or Male")
            if name in rows:
                raise DatasetError(f"{path} names {name}, which had a row before", remedy="give each label file once")
            rows[name] = row
    return rows
