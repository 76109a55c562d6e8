"""The records of a run that has ended, each with its photo."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from facegender.formats.records import Record
from facegender.inference.journal import read_records
from facegender.sources import Source


class Finished:
    """Records by the names of their photos; those of the same name in their order."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: defaultdict[str, list[str]] = defaultdict(list)
        for record in records:
            self.add(record)

    @classmethod
    def of(cls, output: Path) -> Finished:
        """All that an output holds, from its journal."""
        return cls(read_records(output))

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
