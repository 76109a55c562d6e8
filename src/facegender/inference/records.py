"""The records of a run, as rows of a table: one a face of a photo, or one a track of a video."""

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
        table: name of the table in SQLite.
        columns: names and types of the columns.
        number: the column that counts the rows of one record from 0; None in the one row of a record without any.
        rows: the rows of a record, each with every column.
    """

    table: str
    columns: dict[str, type]
    number: str
    rows: Callable[[Record], Iterator[Record]]


def printable(text: str) -> str:
    r"""The text, with bytes of a file name that are not UTF-8 written as ``\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _rows(record: Record, columns: dict[str, type], items: list[Record]) -> Iterator[Record]:
    error = record["error"] or {"kind": None, "message": None}
    common = {name: record[name] for name in columns if name in record} | {
        "path": printable(record["path"]),
        "error_kind": error["kind"],
        "error_message": None if error["message"] is None else printable(error["message"]),
    }
    for item in items or [{}]:
        yield dict.fromkeys(columns) | common | item


def _face_rows(record: Record) -> Iterator[Record]:
    faces = []
    for index, face in enumerate(record["faces"]):
        answer = {name: face[name] for name in ("score", "quality", "p_male", "label")}
        faces.append({"face": index, **dict(zip("xywh", face["box"], strict=True)), **answer})
    return _rows(record, FACES.columns, faces)


def _track_rows(record: Record) -> Iterator[Record]:
    return _rows(record, TRACKS.columns, record["tracks"])


_ERROR = {"error_kind": str, "error_message": str}
_BOX = dict.fromkeys(("x", "y", "w", "h"), float)

#: Of photos: a photo without faces, or with an error, has one row too.
FACES = Schema(
    "faces",
    {"path": str, "width": int, "height": int, "weight": float, "face": int, **_BOX}
    | {"score": float, "quality": float, "p_male": float, "label": str, **_ERROR},
    "face",
    _face_rows,
)

#: Of videos.
TRACKS = Schema(
    "tracks",
    {"path": str, "width": int, "height": int, "duration": float, "track": int, "begin": float, "end": float}
    | {"seconds": float, "faces": int, "quality": float, "p_male": float, "label": str, **_ERROR},
    "track",
    _track_rows,
)
