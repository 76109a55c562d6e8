"""The records of a run, as rows of a table: one a face of a photo, a track of a video, or a sighting in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

#: What `PhotoResult.to_dict` and `VideoResult.to_dict` give.
Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Schema:
    """How records become rows.

    Attributes:
        files: what records are of: ``photos`` or ``videos``.
        table: what a record lists under this key, each a row; the name of the table in SQLite.
        number: the column that counts the rows of a record from 0; None in the one row of a record without any.
        columns: names and types of the columns.
        row: the columns of one of the things listed, given its number.
    """

    files: str
    table: str
    number: str
    columns: dict[str, type]
    row: Callable[[int, Record], Record]

    def rows(self, record: Record) -> Iterator[Record]:
        """The rows of a record, each with every column."""
        error = record["error"] or {"kind": None, "message": None}
        common = dict.fromkeys(self.columns) | {name: record[name] for name in self.columns if name in record}
        common |= {
            "path": printable(record["path"]),
            "error_kind": error["kind"],
            "error_message": None if error["message"] is None else printable(error["message"]),
        }
        common = {name: common[name] for name in self.columns}
        for number, each in enumerate(record[self.table]):
            yield common | self.row(number, each)
        if not record[self.table]:
            yield common


def printable(text: str) -> str:
    r"""The text, with bytes of a file name that are not UTF-8 written as ``\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _boxed(each: Record) -> Record:
    """The record of a face with its box in four columns."""
    box = dict(zip("xywh", each["box"], strict=True))
    return {name: value for name, value in {**each, **box}.items() if name not in ("box", "landmarks")}


_PHOTO = {"path": str, "width": int, "height": int}
_ERROR = {"error_kind": str, "error_message": str}
_BOX = dict.fromkeys(("x", "y", "w", "h", "score", "quality", "p_male"), float)

#: Of photos: one without faces, or with an error, has one row too.
FACES = Schema(
    files="photos",
    table="faces",
    number="face",
    columns={**_PHOTO, "weight": float, "face": int, **_BOX, "label": str, **_ERROR},
    row=lambda number, face: {"face": number, **_boxed(face)},
)

#: Of videos, one row a track; likewise.
TRACKS = Schema(
    files="videos",
    table="tracks",
    number="track",
    columns={
        **_PHOTO,
        **{"duration": float, "track": int, "begin": float, "end": float, "seconds": float, "faces": int},
        **{"quality": float, "p_male": float, "label": str, **_ERROR},
    },
    row=lambda number, track: track,
)

#: Of videos, one row a sampled frame in which a face was seen. Its ``p_male`` is the answer to that one crop.
TIMELINE = Schema(
    files="videos",
    table="sightings",
    number="sighting",
    columns={"path": str, "sighting": int, "time": float, "span": float, "track": int, **_BOX, **_ERROR},
    row=lambda number, sighting: {"sighting": number, **_boxed(sighting)},
)
