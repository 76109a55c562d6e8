"""Which photos or videos a file of records tells of."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import numpy as np

from facegender.formats.records import Schema, printable
from facegender.formats.writers import FileFormat, require_pyarrow


class Names:
    """How often each name of a record occurs, in little memory: 64 bits of a hash and a count each."""

    def __init__(self, names: Iterable[str]) -> None:
        hashes = np.fromiter(map(_hash, names), np.uint64)
        self.total = len(hashes)
        self._hashes, self._counts = np.unique(hashes, return_counts=True)

    def take(self, name: str) -> bool:
        """Whether the name is left; then there is one less of it."""
        wanted = _hash(printable(name))
        place = int(np.searchsorted(self._hashes, wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted or not self._counts[place]:
            return False
        self._counts[place] -= 1
        return True


def _hash(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def _names_in_lines(file: Path, schema: Schema) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        yield from (printable(json.loads(line)["path"]) for line in lines)


def _names_in_csv(file: Path, schema: Schema) -> Iterator[str]:
    with file.open(encoding="utf-8", newline="") as lines:
        yield from (row["path"] for row in csv.DictReader(lines) if row[schema.number] in ("", "0"))


def names_in_parquet(file: Path | IO[bytes], schema: Schema) -> Iterator[str]:
    """The names of the records in a Parquet file, in order."""
    batches = require_pyarrow().parquet.ParquetFile(file).iter_batches(columns=["path", schema.number])
    for batch in batches:
        yield from (row["path"] for row in batch.to_pylist() if not row[schema.number])


def _names_in_database(file: Path, schema: Schema) -> Iterator[str]:
    with closing(sqlite3.connect(file)) as database:
        query = f"SELECT path FROM {schema.table} WHERE COALESCE({schema.number}, 0) = 0 ORDER BY rowid"
        yield from (path for (path,) in database.execute(query))


_READERS: dict[FileFormat, Callable[[Path, Schema], Iterator[str]]] = {
    FileFormat.JSONL: _names_in_lines,
    FileFormat.CSV: _names_in_csv,
    FileFormat.PARQUET: names_in_parquet,
    FileFormat.SQLITE: _names_in_database,
}


def names_in(file: Path, format_: FileFormat, schema: Schema) -> Iterator[str]:
    """The names of the records in a file, in order, one a record."""
    return _READERS[format_](file, schema)
