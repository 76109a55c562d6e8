"""The records of a run that has ended, each with its photo."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from facegender.errors import InputError
from facegender.formats.records import Record
from facegender.inference.journal import connect_read_only, journal_file
from facegender.sources import Source


class Finished:
    """Records by the names of their photos; those of the same name in their order."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: defaultdict[str, list[str]] = defaultdict(list)
        for record in records:
            self.add(record)

    @classmethod
    def of(cls, output: Path) -> Finished:
        """All that an output holds, from its journal.

        Raises:
            InputError: there is no journal, it is damaged, or a run writes there.
        """
        journal = journal_file(output)
        try:
            with closing(connect_read_only(journal)) as base:
                texts = base.execute("SELECT record FROM photos ORDER BY id")
                return cls(json.loads(text) for (text,) in texts)
        except sqlite3.Error as error:
            raise InputError(f"cannot read {journal}: {error}") from error

    def add(self, record: Record) -> None:
        """Add one."""
        self._records[record["path"]].append(json.dumps(record))  # as text it takes a tenth of the memory

    def pairs(self, photos: Iterable[Source]) -> Iterator[tuple[Source, Record]]:
        """The photos that have a record, and that; what is not among the photos is left out."""
        seen: Counter[str] = Counter()
        for photo in photos:
            records = self._records.get(photo.name, [])
            if seen[photo.name] < len(records):
                yield photo, json.loads(records[seen[photo.name]])
                seen[photo.name] += 1
