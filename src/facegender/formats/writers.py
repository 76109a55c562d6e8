"""Records written in order: JSON Lines and CSV to a text stream, Parquet and SQLite to a file.

A writer is a context manager with ``write(record)``. It knows nothing of unfinished runs: `facegender.inference.parts`
keeps those, and writes a file of its own only when the run is done.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from facegender.errors import MissingExtraError
from facegender.formats.records import Record, Schema

#: Rows that lie in memory at a time.
ROW_GROUP = 4096


class FileFormat(StrEnum):
    """How records lie in a file; each value is the file's usual suffix too."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    SQLITE = "sqlite"


class Writer(Protocol):
    """What takes records."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def write(self, record: Record) -> None:
        """Add one record; OSError where the disk refuses."""
        ...


class TextWriter(AbstractContextManager["TextWriter"]):
    """JSON Lines or CSV to a stream that stays the caller's; every record reaches it at once.

    Args:
        stream: opened for text.
        format_: JSON Lines: one object a record; or CSV: rows of the schema under a header.
        schema: of the records.
        header: whether CSV begins with the names of its columns.
    """

    def __init__(self, stream: IO[str], format_: FileFormat, schema: Schema, *, header: bool = True) -> None:
        self._stream, self._schema = stream, schema
        self._csv = csv.DictWriter(stream, list(schema.columns), lineterminator="\n")
        self._as_rows = format_ is FileFormat.CSV
        if self._as_rows and header:
            self._csv.writeheader()

    def write(self, record: Record) -> None:
        """Add one record."""
        if self._as_rows:
            self._csv.writerows(self._schema.rows(record))
        else:
            self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def __exit__(self, *_: object) -> None:
        """Nothing to finish."""


class ParquetWriter(AbstractContextManager["ParquetWriter"]):
    """Rows of the schema in row groups of `ROW_GROUP`.

    Args:
        path: written anew.
        schema: of the records.
        base: a Parquet file of the same columns whose rows come first.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, path: Path, schema: Schema, base: Path | None = None) -> None:
        self._arrow = require_pyarrow()
        types = {int: "int32", float: "float64", str: "string"}
        fields = [(name, getattr(self._arrow, types[kind])()) for name, kind in schema.columns.items()]
        self._arrow_schema = self._arrow.schema(fields)
        self._schema = schema
        self._writer = self._arrow.parquet.ParquetWriter(path, self._arrow_schema)
        self._rows: list[Record] = []
        if base is not None:
            file = self._arrow.parquet.ParquetFile(base)
            for group in range(file.num_row_groups):
                self._rows += file.read_row_group(group).to_pylist()
                self._flush(ROW_GROUP)

    def write(self, record: Record) -> None:
        """Add one record."""
        self._rows.extend(self._schema.rows(record))
        self._flush(ROW_GROUP)

    def _flush(self, size: int) -> None:
        while self._rows and len(self._rows) >= size:
            group, self._rows = self._rows[:ROW_GROUP], self._rows[ROW_GROUP:]
            self._writer.write_table(self._arrow.Table.from_pylist(group, schema=self._arrow_schema))

    def __exit__(self, *_: object) -> None:
        """Write the last rows and the footer."""
        self._flush(1)
        self._writer.close()


class SqliteWriter(AbstractContextManager["SqliteWriter"]):
    """Rows of the schema in a table, with an index on the path.

    Args:
        path: of a database; the table is made if it is not there.
        schema: of the records.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._database = sqlite3.connect(path)
        types = {int: "INTEGER", float: "REAL", str: "TEXT"}
        columns = ", ".join(f'"{name}" {types[kind]}' for name, kind in schema.columns.items())
        self._database.execute(f"CREATE TABLE IF NOT EXISTS {schema.table} ({columns})")
        self._insert = f"INSERT INTO {schema.table} VALUES ({', '.join('?' * len(schema.columns))})"

    def write(self, record: Record) -> None:
        """Add one record."""
        self._rows.extend(tuple(row.values()) for row in self._schema.rows(record))
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._database.executemany(self._insert, self._rows)
        self._rows = []

    def __exit__(self, *_: object) -> None:
        """Write the last rows and close the database."""
        try:
            self._flush()
            table = self._schema.table
            self._database.execute(f"CREATE INDEX IF NOT EXISTS {table}_path ON {table} (path)")
            self._database.commit()
        finally:
            self._database.close()


def require_pyarrow() -> Any:
    """The module pyarrow with its Parquet part; MissingExtraError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return pyarrow
