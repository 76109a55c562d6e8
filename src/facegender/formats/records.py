"""The records of a run, as rows of a table: one a face of a photo, a photo, a track of a video, or a sighting in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

#: What `PhotoResult.to_dict` and `VideoResult.to_dict` give.
Record: TypeAlias = dict[str, Any]

#: Rows that a reader or writer holds in memory at a time.
ROW_GROUP = 4096


@dataclass(frozen=True)
class Schema:
    """How records become rows.

    Attributes:
        files: what records are of: ``photos`` or ``videos``.
        table: what a record lists under this key, each a row; the name of the table in SQLite.
        number: the column that counts the rows of a record from 0; None in the one row of a record without any.
        columns: names and types of the columns.
        row: the columns of one of the things listed, given its number.
        item: the inverse of `row`: one of the things listed, given its row.
        optional: further columns, of the pictures that a run made; only where it made some.
        prepared: makes of a record what is written; by default the record itself.
    """

    files: str
    table: str
    number: str
    columns: dict[str, type]
    row: Callable[[int, Record], Record]
    item: Callable[[Record], Record]
    optional: dict[str, type] = field(default_factory=dict)
    prepared: Callable[[Record], Record] = lambda record: record

    def with_pictures(self) -> Schema:
        """The same with the optional columns among the others."""
        return replace(self, columns=self.columns | self.optional, optional={})

    def rows(self, record: Record) -> Iterator[Record]:
        """The rows of a record, each with every column."""
        error = record["error"] or {"kind": None, "message": None}
        common = dict.fromkeys(self.columns) | {name: record[name] for name in self.columns if name in record}
        common |= {"error_kind": error["kind"], "error_message": error["message"]}
        items = record.get(self.table)
        rows = (common | self.row(number, each) for number, each in enumerate(items or ()))
        for row in rows if items else [common]:
            cells = ((name, row[name]) for name in self.columns)
            yield {name: printable(cell) if isinstance(cell, str) else cell for name, cell in cells}

    def records(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Record]:
        """The records that these rows are of, in their order: the inverse of `rows`.

        Raises:
            ValueError: a column is absent or unknown, or the rows are not in the order in which they were written.
        """
        record: Record | None = None
        for cells in rows:
            row = {name: unprinted(cell) if isinstance(cell, str) else cell for name, cell in cells.items()}
            if not self.columns.keys() <= row.keys() <= self.columns.keys() | self.optional.keys():
                absent = ", ".join(self.columns.keys() - row.keys())
                unknown = ", ".join(row.keys() - self.columns.keys() - self.optional.keys())
                raise ValueError(f"it has no column {absent}" if absent else f"it has a column {unknown} of its own")
            number, path = row[self.number], row["path"] or ""
            if number in (None, 0):
                if record is not None:
                    yield record
                record = self._about(row)
            if record is None or path != record["path"] or number not in (None, len(record[self.table])):
                raise ValueError(f"its rows are not in order at {printable(path)}, {self.number} {number}")
            if number is not None:
                record[self.table].append(self.item(row))
        if record is not None:
            yield record

    def _about(self, row: Record) -> Record:
        """The record that a row begins, without faces."""
        of_items = self.row(0, self.item(row)).keys()
        record = {name: row[name] for name in self.columns if name not in of_items and name not in _ERROR}
        kind = row["error_kind"]
        error = None if kind is None else {"kind": kind, "message": row["error_message"]}
        if row.get("annotated") is not None:
            record["annotated"] = row["annotated"]
        return {**record, "path": row["path"] or "", self.table: [], "error": error}


def printable(text: str) -> str:
    r"""The text with bytes of a file name that are not UTF-8 written as ``\udcff``; different texts stay different.

    A backslash that would then read as such a byte is written as ``\x5c``.
    """
    return _LIKE_A_BYTE.sub(r"\\x5c", text).encode("utf-8", "backslashreplace").decode("utf-8")


def visible(text: str) -> str:
    r"""The text for a terminal: as `printable`, with control characters written as ``\x1b``.

    Escape sequences in the name of a file could otherwise change what a terminal shows or does.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), printable(text))


def unprinted(text: str) -> str:
    """The inverse of `printable`."""
    return _WRITTEN.sub(lambda found: "\\" + found[1] if found[1] else chr(int(found[2], 16)), text)


#: Controls, ends of lines, and what turns the direction of writing.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: A backslash before what `printable` writes, and what it writes.
_LIKE_A_BYTE = re.compile(r"\\(?=(?:x5c)*ud[89a-f][0-9a-f]{2})")
_WRITTEN = re.compile(r"\\(?:x5c((?:x5c)*ud[89a-f][0-9a-f]{2})|u(d[89a-f][0-9a-f]{2}))")


def _boxed(each: Record) -> Record:
    """The record of a face with its box in four columns."""
    box = dict(zip("xywh", each["box"], strict=True))
    return {name: value for name, value in {**each, **box}.items() if name not in ("box", "landmarks")}


def _unboxed(row: Record) -> Record:
    """The inverse of `_boxed`, without landmarks."""
    rest: Record = {name: row[name] for name in ("score", "quality", "p_male", "label") if name in row}
    if row.get("crop") is not None:
        rest["crop"] = row["crop"]
    return {"box": [row[side] for side in "xywh"], **rest}


_PHOTO = {"path": str, "width": int, "height": int}
_ERROR = {"error_kind": str, "error_message": str}
_BOX = dict.fromkeys(("x", "y", "w", "h", "score", "quality", "p_male"), float)

_TRACK = {
    **{"track": int, "begin": float, "end": float, "seconds": float, "faces": int},
    **{"quality": float, "p_male": float, "label": str},
}

#: Of photos: one without faces, or with an error, has one row too.
FACES = Schema(
    files="photos",
    table="faces",
    number="face",
    columns={**_PHOTO, "weight": float, "face": int, **_BOX, "label": str, **_ERROR},
    row=lambda number, face: {"face": number, **_boxed(face)},
    item=_unboxed,
    optional={"annotated": str, "crop": str},
)


#: Columns that count answers.
ANSWERS = {"women": "female", "men": "male", "uncertain": "uncertain"}


def per_photo(record: Record) -> Record:
    """The record of a photo with counts of its faces and answers in their place; None where it has an error."""
    counts = dict.fromkeys(("faces", *ANSWERS))
    if record["error"] is None:
        labels = Counter(face["label"] for face in record["faces"])
        counts = {"faces": len(record["faces"]), **{name: labels[label] for name, label in ANSWERS.items()}}
    about = {name: value for name, value in record.items() if name not in ("faces", "error")}
    return {**about, **counts, "error": record["error"]}


#: Of photos, one row each. No faces can be read back from it.
PHOTOS = Schema(
    files="photos",
    table="photos",
    number="faces",
    columns={**_PHOTO, "weight": float, **dict.fromkeys(("faces", *ANSWERS), int), **_ERROR},
    row=lambda number, photo: photo,
    item=lambda row: row,
    optional={"annotated": str},
    prepared=per_photo,
)

#: Of videos, one row a track; one without tracks, or with an error, has one row too.
TRACKS = Schema(
    files="videos",
    table="tracks",
    number="track",
    columns={**_PHOTO, "duration": float, **_TRACK, **_ERROR},
    row=lambda number, track: track,
    item=lambda row: {name: row[name] for name in _TRACK},
)

#: Of videos, one row a sampled frame in which a face was seen. Its ``p_male`` is the answer to that one crop.
TIMELINE = Schema(
    files="videos",
    table="sightings",
    number="sighting",
    columns={"path": str, "sighting": int, "time": float, "span": float, "track": int, **_BOX, **_ERROR},
    row=lambda number, sighting: {"sighting": number, **_boxed(sighting)},
    item=lambda row: {**{name: row[name] for name in ("time", "span", "track")}, **_unboxed(row)},
)

SCHEMAS = (FACES, TRACKS, TIMELINE, PHOTOS)

#: The types of all columns that a schema knows; no two schemas disagree on one.
COLUMN_TYPES: dict[str, type] = {
    name: kind for schema in SCHEMAS for name, kind in schema.with_pictures().columns.items()
}
