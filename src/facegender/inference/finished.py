"""The records of a run that has ended, each with its photo."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from facegender.errors import InputError, OutputError
from facegender.formats.records import Record
from facegender.inference.journal import Journal, connect_read_only, journal_file
from facegender.sources import Source


class Finished:
    """Records by the names of their photos; a context manager. They stay on the disk, where one is looked up at a time.

    Args:
        output: whose records, all that its journal holds, which no run changes meanwhile. None: those that are added,
            in a file without a name.

    Raises:
        InputError: there is no journal, it is damaged, or a run writes there.
    """

    def __init__(self, output: Path | None = None) -> None:
        self._file = None if output is None else journal_file(output)
        with self._refusals():
            base = sqlite3.connect("") if self._file is None else connect_read_only(self._file)
            try:
                self._journal = Journal(base)
                if self._file is not None:
                    base.execute("BEGIN")
                    self._journal.count()  # takes the lock, which other runs respect until this is closed
            except BaseException:
                base.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def add(self, record: Record) -> None:
        """Add one; OutputError where there is no room for it."""
        with self._refusals():
            self._journal.put(record, None, None, None)

    def pairs(self, photos: Iterable[Source]) -> Iterator[tuple[Source, Record]]:
        """The photos that have a record, and that; what is not among the photos is left out.

        Records of photos of the same name come in their order.
        """
        with self._refusals():
            _, last = self._journal.count()
        seen = bytearray(last + 1)
        for photo in photos:
            with self._refusals():
                found = self._journal.find(photo.name, last)
            row = next((row for row in found if not seen[row.row]), None)
            if row is not None:
                seen[row.row] = True
                yield photo, json.loads(row.text)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._file is None:
                raise OutputError(
                    f"cannot keep the records: {error}", remedy="set TMPDIR to a disk with room"
                ) from error
            raise InputError(f"cannot read {self._file}: {error}") from error
