"""CSV: one row a face, track or sighting, under a header. Encoded as UTF-8."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from facegender.formats.records import COLUMN_TYPES, Record, Schema
from facegender.formats.registry import StreamFormat, Writer, register


class CsvWriter(Writer):
    """Rows of the schema under a header; every record reaches the stream at once."""

    def __init__(self, stream: IO[str], schema: Schema) -> None:
        self._stream, self._schema = stream, schema
        # With this line end the module quotes both "\r" and "\n" within a cell; before Python 3.13, otherwise not.
        lines: Any = SimpleNamespace(write=lambda line: stream.write(line.removesuffix("\r\n") + "\n"))
        self._csv = csv.writer(lines, lineterminator="\r\n")
        self._csv.writerow(schema.columns)

    def write(self, record: Record) -> None:
        self._csv.writerows(row.values() for row in self._schema.rows(record))
        self._stream.flush()


@register
class Csv(StreamFormat):
    """Comma-separated values."""

    name, title, suffixes = "csv", "CSV", (".csv",)

    def recognizes(self, head: bytes) -> bool:
        """A header of several columns has one named path."""
        header = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].strip(b"\r").split(b",")
        return len(header) > 1 and b"path" in header

    def stream_writer(self, stream: IO[str], schema: Schema) -> Writer:
        return CsvWriter(stream, schema)

    def rows(self, path: Path) -> Iterator[Record]:
        """The rows; cells of columns that no schema knows stay text."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                header = next(reader, [])
                types = [COLUMN_TYPES.get(column, str) for column in header]
                for cells in reader:
                    if len(cells) != len(header):
                        if not cells:
                            continue
                        raise ValueError(f"line {reader.line_num} has {len(cells)} cells, its header {len(header)}")
                    yield {
                        column: None if cell == "" else _typed(cell, kind)
                        for column, cell, kind in zip(header, cells, types, strict=True)
                    }
            except csv.Error as error:
                raise ValueError(f"line {reader.line_num}: {error}") from error


def _typed(cell: str, kind: type) -> Any:
    """A cell as the type of its column; text where it is none, and whole numbers that were saved as 1.0."""
    converters: tuple[Callable[[str], Any], ...] = {int: (int, float), float: (float,)}.get(kind, ())
    for convert in converters:
        with suppress(ValueError):
            return convert(cell)
    return cell
