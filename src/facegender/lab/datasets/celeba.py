"""CelebA, the aligned images, with the authors' attributes and their partition by identity.

Z. Liu, P. Luo, X. Wang, X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeVar

import typer

from facegender.errors import DatasetError, InputError
from facegender.faces.types import Face
from facegender.lab.datasets.images import base_name, places_by_name
from facegender.lab.datasets.listing import Entry, Finding, ImageRoot, Listing
from facegender.lab.datasets.registry import dataset
from facegender.lab.datasets.store import SPLITS, Split
from facegender.tables import digest, read_text

T = TypeVar("T")

#: Width and height of an aligned image.
FRAME = (178, 218)

#: Where the face lies in it on average (studies/accuracy/usual_face.py), as shares of width and height.
USUAL_FACE = Face(
    box=(0.261, 0.304, 0.482, 0.54),
    landmarks=((0.392, 0.514), (0.606, 0.515), (0.495, 0.621), (0.406, 0.7), (0.589, 0.701)),
    score=0.0,
)

#: Of the 40 attributes, those that stores keep where the file has them: what makes a face easy or hard.
_KEPT = ("young", "eyeglasses", "wearing_hat", "smiling", "blurry")

_YES_NO = {"-1": "no", "0": "no", "1": "yes"}
_LABELS = {"no": 0, "yes": 1}
_PARTITIONS: Mapping[str, Split] = {str(number): split for number, split in enumerate(SPLITS)}


@dataclass(frozen=True)
class Annotations:
    """One of the authors' text files.

    Attributes:
        rows: ``000001.jpg`` to its values by column, in lower case.
        columns: in their order.
        missing: rows that the first line promises and a cut file lacks.
    """

    rows: Mapping[str, Mapping[str, str]]
    columns: Sequence[str]
    missing: int


def read_annotations(path: Path, column: str | None = None) -> Annotations:
    """Read a file in the original layouts or as CSV, whole or cut, compressed or not.

    These are ``list_attr_celeba.txt`` (number of rows, names of columns, rows), ``list_eval_partition.txt`` and
    ``identity_CelebA.txt`` (rows of two), and tables with a header, commas and the image in the first column.

    Args:
        column: what the second cell is in a file that does not name its columns; None: it has to name them.

    Raises:
        DatasetError: the file is not of that layout. A last row that is cut short is no error: it is left out.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    remedy = "expected are list_attr_celeba.txt, list_eval_partition.txt, identity_CelebA.txt or a CSV of them"
    if not lines:
        raise DatasetError(f"{path} is empty", remedy=remedy)
    comma = "," if "," in lines[0] else None
    promised = 0
    if comma:
        columns, body = [cell.strip() for cell in lines[0].split(comma)][1:], lines[1:]
    elif lines[0].strip().isdecimal() and len(lines) > 1:
        promised, columns, body = int(lines[0]), lines[1].split(), lines[2:]
    elif column:
        columns, body = [column], lines
    else:
        raise DatasetError(f"{path} does not name its columns", remedy="give list_attr_celeba.txt or a CSV of it")
    columns = [name.lower() for name in columns]
    rows = {}
    for number, line in enumerate(body):
        name, *cells = [cell.strip() for cell in line.split(comma)]
        if len(cells) != len(columns) or not all(cells) or cells[-1] == "-":
            if number and number == len(body) - 1:
                break  # cut
            raise DatasetError(f"{path}: {line[:40]!r} is no image with {len(columns)} values", remedy=remedy)
        rows[_as_jpg(name)] = dict(zip(columns, cells, strict=True))
    return Annotations(rows, columns, max(0, promised - len(rows)))


@dataset(
    "celeba",
    "CelebA's aligned images in the official splits; an image in several sources is taken from the first.",
    in_paper=True,
)
def list_celeba(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Archives or folders of aligned images, whole or partial.",
            default_factory=list,
            show_default=False,
        ),
    ],
    attributes: Annotated[Path, typer.Option(help="list_attr_celeba.txt, or a CSV with Male; may be .gz.")],
    partition: Annotated[
        Path | None,
        typer.Option(help="list_eval_partition.txt; not needed where the attributes have a column Partition."),
    ] = None,
    *,
    identities: Annotated[Path | None, typer.Option(help="identity_CelebA.txt, if you have it.")] = None,
    squeezed: Annotated[
        list[str] | None,
        typer.Option(metavar="SOURCE", help="A further source, its images squeezed, say to 64x64; repeatable."),
    ] = None,
) -> Listing:
    """Every image of the sources whose gender and partition are known, in the official splits.

    Copies of CelebA differ in size and sharpness, so the attribute ``source`` names the one that an image is from.

    Raises:
        InputError: no source at all.
        DatasetError: a source or a file is not what it should be, or the partition of the images is not known.
    """
    everywhere = [ImageRoot(path) for path in sources] + [ImageRoot(path, FRAME) for path in squeezed or []]
    if not everywhere:
        raise InputError("no source of images is given", remedy="give the archive or the unpacked folder")
    attributed = read_annotations(attributes)
    divided = attributed if partition is None else read_annotations(partition, "partition")
    named = None if identities is None else read_annotations(identities, "identity")
    _require(attributed, "male", attributes, "give list_attr_celeba.txt as --attributes")
    _require(divided, "partition", partition or attributes, "give list_eval_partition.txt as --partition")
    if named is not None:
        _require(named, "identity", identities, "give identity_CelebA.txt as --identities")

    genders = {name: _value(row, "male", _YES_NO, attributes, name) for name, row in attributed.rows.items()}
    splits = {
        name: _value(row, "partition", _PARTITIONS, partition or attributes, name) for name, row in divided.rows.items()
    }
    columns = [name for name in _KEPT if name in attributed.columns]
    places, copies = places_by_name([source.path for source in everywhere], _as_jpg)
    entries = [
        Entry(
            name,
            path,
            _LABELS[genders[name]],
            splits[name],
            "" if named is None or name not in named.rows else named.rows[name]["identity"],
            {
                **{key: _value(attributed.rows[name], key, _YES_NO, attributes, name) for key in columns},
                "source": base_name(str(everywhere[number].path)),
            },
            source=number,
        )
        for name, (number, path) in sorted(places.items())
        if name in genders and name in splits
    ]
    findings: dict[str, Finding] = {
        "rows that the attribute file promises and lacks": attributed.missing,
        "images with attributes but without a photo": len(genders.keys() - places.keys()),
        "photos without attributes, left out": len(places.keys() - genders.keys()),
        "photos without a partition, left out": len((places.keys() & genders.keys()) - splits.keys()),
        "photos in several sources, taken from the first": copies,
    }
    answers = list(genders.values())
    return Listing(
        name="celeba",
        sources=everywhere,
        entries=entries,
        counts=[("images with attributes", answers.count("no"), answers.count("yes"))],
        findings=findings,
        usual=USUAL_FACE,
        labels_sha256=digest(path for path in (attributes, partition, identities) if path is not None),
    )


def _as_jpg(path: str) -> str:
    """The name that the authors' files use for an image, also for its PNG."""
    return f"{PurePosixPath(path).stem}.jpg"


def _require(annotations: Annotations, column: str, path: Path | None, remedy: str) -> None:
    if column not in annotations.columns:
        raise DatasetError(f"{path} does not tell the {column} of an image", remedy=remedy)


def _value(row: Mapping[str, str], column: str, known: Mapping[str, T], path: Path, name: str) -> T:
    if row[column] not in known:
        raise DatasetError(f"{path} gives {name} the {column} {row[column]!r}, not one of {', '.join(known)}")
    return known[row[column]]
