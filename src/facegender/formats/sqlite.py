"""SQLite: one row a face, track or sighting, in a table with an index on the path."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from facegender.files import read_only_uri
from facegender.formats.records import SCHEMAS, Record, Schema
from facegender.formats.registry import Format, Writer, register


class SqliteWriter(Writer):
    """Rows of the schema in a table, with an index on the path.

    Args:
        path: of a database; the table is made if it is not there.
        schema: of the records.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._schema = schema
        self._database = sqlite3.connect(path)
        types = {int: "INTEGER", float: "REAL", str: "TEXT"}
        columns = ", ".join(f'"{name}" {types[kind]}' for name, kind in schema.columns.items())
        self._database.execute(f"CREATE TABLE IF NOT EXISTS {schema.table} ({columns})")
        self._insert = f"INSERT INTO {schema.table} VALUES ({', '.join('?' * len(schema.columns))})"

    def write(self, record: Record) -> None:
        self._database.executemany(self._insert, (tuple(row.values()) for row in self._schema.rows(record)))

    def __exit__(self, *_: object) -> None:
        try:
            table = self._schema.table
            self._database.execute(f"CREATE INDEX IF NOT EXISTS {table}_path ON {table} (path)")
            self._database.commit()
        finally:
            self._database.close()


@register
class Sqlite(Format):
    """A SQLite database."""

    name, title, suffixes, magic = "sqlite", "SQLite", (".sqlite", ".sqlite3", ".db"), b"SQLite format 3\0"

    def writer(self, path: Path, schema: Schema) -> Writer:
        return SqliteWriter(path, schema)

    def rows(self, path: Path) -> Iterator[Record]:
        with closing(sqlite3.connect(read_only_uri(path.absolute().as_uri()), uri=True)) as base:
            tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            name = next((schema.table for schema in SCHEMAS if schema.table in tables), None)
            if name is None:
                raise ValueError(f"it has no table named {' or '.join(schema.table for schema in SCHEMAS)}")
            found = base.execute(f"SELECT * FROM {name} ORDER BY rowid")
            columns = [column for column, *_ in found.description]
            for row in found:
                yield dict(zip(columns, row, strict=True))
