"""Parquet: one row a face, track or sighting, in row groups. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facegender.errors import needs
from facegender.formats.records import ROW_GROUP, Record, Schema
from facegender.formats.registry import Format, Writer, register


class ParquetWriter(Writer):
    """Rows of the schema in row groups of `ROW_GROUP`.

    Args:
        path: of the file, which is replaced.
        schema: of the records.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._arrow = _require_pyarrow()
        types = {int: "int32", float: "float64", str: "string"}
        fields = [(name, getattr(self._arrow, types[kind])()) for name, kind in schema.columns.items()]
        self._arrow_schema = self._arrow.schema(fields)
        self._schema = schema
        self._writer = self._arrow.parquet.ParquetWriter(path, self._arrow_schema)
        self._rows: list[Record] = []

    def write(self, record: Record) -> None:
        self._rows.extend(self._schema.rows(record))
        self._flush(ROW_GROUP)

    def _flush(self, size: int) -> None:
        while self._rows and len(self._rows) >= size:
            group, self._rows = self._rows[:ROW_GROUP], self._rows[ROW_GROUP:]
            self._writer.write_table(self._arrow.Table.from_pylist(group, schema=self._arrow_schema))

    def __exit__(self, *_: object) -> None:
        self._flush(1)
        self._writer.close()


@register
class Parquet(Format):
    """Apache Parquet."""

    name, title, suffixes, magic = "parquet", "Parquet", (".parquet",), b"PAR1"

    def check(self) -> None:
        _require_pyarrow()

    def writer(self, path: Path, schema: Schema) -> Writer:
        return ParquetWriter(path, schema)

    def rows(self, path: Path) -> Iterator[Record]:
        for batch in _require_pyarrow().parquet.ParquetFile(path).iter_batches(ROW_GROUP):
            yield from batch.to_pylist()


def _require_pyarrow() -> Any:
    with needs("pyarrow", "parquet"):
        import pyarrow
        import pyarrow.parquet
    return pyarrow
