"""JSON Lines: one object a record, with all of its fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from facegender.formats.records import Record, Schema, printable
from facegender.formats.registry import StreamFormat, Writer, register

T = TypeVar("T")


class JsonLinesWriter(Writer):
    """One line a record, which reaches the stream at once."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()


@register
class JsonLines(StreamFormat):
    """One JSON object a line."""

    name, title, suffixes, magic = "jsonl", "JSON Lines", (".jsonl",), b"{"

    def stream_writer(self, stream: IO[str], schema: Schema) -> Writer:
        return JsonLinesWriter(stream)

    def rows(self, path: Path) -> Iterator[Record]:
        for rows in _parsed(path, lambda record: list(_flat(record))):
            yield from rows

    def records(self, path: Path, schema: Schema) -> Iterator[Record]:
        """The records as they were written."""

        def checked(record: Record) -> Record:
            record[schema.table], record["error"]  # a KeyError where the schema is another
            if not isinstance(record["path"], str):
                raise TypeError(f"a path is a text, not {record['path']!r}")
            return record

        yield from _parsed(path, checked)


def _parsed(path: Path, parse: Callable[[Record], T]) -> Iterator[T]:
    """What each line gives; a ValueError names the line that gives none."""
    number = 0
    with path.open(encoding="utf-8") as lines:
        try:
            for line in lines:
                number += 1
                yield parse(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number} of it is no record of facegender predict") from error


def _flat(record: Mapping[str, Any]) -> Iterator[Record]:
    """The rows of one photo or video; without faces one row, whose face is None."""
    error = record.get("error") or {}
    about = {key: value for key, value in record.items() if key not in ("faces", "tracks", "error")}
    about |= {"path": printable(str(record["path"])), "error_kind": error.get("kind")}
    nothing = dict.fromkeys(("quality", "p_male", "label"))
    if "women" in record:
        yield about | {"faces": record["faces"]}
    elif "tracks" in record:
        keys = ("track", "seconds", "quality", "p_male", "label")
        found = [{key: track[key] for key in keys} for track in record["tracks"] or ()]
        yield from (about | row for row in found or [{"track": None, "seconds": None, **nothing}])
    else:
        found = [
            {"face": i, **{key: face[key] for key in nothing}, **dict(zip("xywh", face.get("box", ()), strict=False))}
            for i, face in enumerate(record.get("faces") or ())
        ]
        yield from (about | row for row in found or [{"face": None, **nothing}])
