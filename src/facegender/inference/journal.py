"""``FILE.journal``: a SQLite database with the record of every photo, which a kill at any moment leaves whole.

Records are committed some hundred in a transaction. The journal stays when FILE is written: it knows the size, the time
and the digest of each photo, so that a photo replaced under its name is analysed again, and copies are recognized.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facegender.files import read_only_uri
from facegender.formats.records import Record, printable, unprinted
from facegender.sources import Stamp

#: A transaction ends after this number of records, or of seconds.
COMMIT_RECORDS = 512
COMMIT_SECONDS = 5.0

# `pending`: the record is not in FILE yet; as a new photo, or in the place of an older record.
_EXPORTED, _NEW, _REPLACED = range(3)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS photos (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, record TEXT NOT NULL, pending INTEGER NOT NULL,
    place TEXT, size INTEGER, version INTEGER, digest TEXT
);
CREATE INDEX IF NOT EXISTS photos_name ON photos (name);
CREATE INDEX IF NOT EXISTS photos_pending ON photos (pending) WHERE pending > 0;
CREATE TABLE IF NOT EXISTS run (settings TEXT NOT NULL, known TEXT NOT NULL, stale INTEGER NOT NULL);
"""


def journal_file(path: Path) -> Path:
    """The journal of a file of records."""
    return path.with_name(f"{path.name}.journal")


def content_digests(path: Path) -> dict[str, str]:
    """The SHA-256 of each photo of a file of records, by `printable` name, as far as its journal knows them.

    Empty without a journal, or while a run writes there.
    """
    journal = journal_file(path)
    if not journal.is_file():
        return {}
    try:
        with closing(connect_read_only(journal)) as base:
            return dict(base.execute("SELECT name, digest FROM photos WHERE digest IS NOT NULL"))
    except sqlite3.Error:
        return {}


def connect_read_only(journal: Path) -> sqlite3.Connection:
    """A connection that does not wait for a lock, and creates no file."""
    return sqlite3.connect(read_only_uri(journal.absolute().as_uri()), uri=True, timeout=0)


@dataclass(frozen=True, slots=True)
class Row:
    """The record of a photo, and the photo's stamp and digest when it was made, where they are known.

    Attributes:
        row: its number; the file has the records in this order.
        text: the record as JSON.
    """

    row: int
    text: str
    stamp: Stamp | None
    digest: str | None


class Journal:
    """The records of an output. Its methods raise `sqlite3.Error` where the disk refuses or the file is no journal.

    Args:
        base: a database, empty or a journal.
    """

    def __init__(self, base: sqlite3.Connection) -> None:
        base.executescript(_SCHEMA)
        base.execute("SELECT name, record, pending, place, size, version, digest FROM photos LIMIT 1")
        self._base = base
        self._since_commit, self._committed = 0, time.monotonic()

    @classmethod
    def open(cls, file: Path, *, replace_damaged: bool) -> Self:
        """The journal in a file, for this process alone until it is closed or the process ends."""
        while True:
            file.touch()
            before = _inode(file)
            base = sqlite3.connect(file, timeout=0, check_same_thread=False)
            try:
                base.execute("PRAGMA locking_mode = EXCLUSIVE")
                base.execute("BEGIN EXCLUSIVE")
                if before is not None and before == _inode(file):
                    base.commit()
                    return cls(base)
                base.close()  # it was removed between the two: the lock is on a file without a name
            except sqlite3.Error as error:
                replaced = is_damage(error) and replace_damaged
                base.close()  # before it is removed, which Windows refuses for open files
                if replaced and before == _inode(file):  # not a journal that another run has made since
                    file.unlink(missing_ok=True)
                if not replaced:
                    raise

    def commit(self) -> None:
        """End the transaction."""
        self._base.commit()
        self._since_commit, self._committed = 0, time.monotonic()

    def commit_when_due(self) -> None:
        """End the transaction where it has many records, or is old."""
        if self._since_commit >= COMMIT_RECORDS or time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def rollback(self) -> None:
        """Undo the transaction."""
        self._base.rollback()

    def close(self) -> None:
        """Close the database, and release the lock."""
        self._base.close()

    # -- the run

    def run(self) -> tuple[Record | None, list[object], bool]:
        """What is noted of the run, as `note_run` takes it; no settings where nothing is."""
        found = self._base.execute("SELECT settings, known, stale FROM run").fetchone()
        settings, known, stale = found or ("null", "[]", False)
        return json.loads(settings), json.loads(known), bool(stale)

    def note_run(self, settings: Record, known: Sequence[object], stale: bool) -> None:
        """Replace what is noted of the run whose records the journal holds, and commit.

        Args:
            settings: what the records depend on.
            known: states of the exported file whose records the journal holds.
            stale: that file has records that are not in the journal any more, or has them in another form.
        """
        self._base.execute("DELETE FROM run")
        self._base.execute("INSERT INTO run VALUES (?, ?, ?)", (json.dumps(settings), json.dumps(known), stale))
        self.commit()

    # -- reading

    def count(self) -> tuple[int, int]:
        """How many records there are, and the number of the last row."""
        count, last = self._base.execute("SELECT COUNT(*), COALESCE(MAX(id), 0) FROM photos").fetchone()
        return int(count), int(last)

    def is_empty(self) -> bool:
        """Whether there are no records."""
        return not self._base.execute("SELECT 1 FROM photos LIMIT 1").fetchone()

    def is_exported(self) -> bool:
        """Whether the file has all records, and no others."""
        query = "SELECT 1 FROM photos WHERE pending > 0 UNION ALL SELECT 1 FROM run WHERE stale LIMIT 1"
        return not self._base.execute(query).fetchone()

    def has_pictures(self) -> bool:
        """Whether a record names a picture that was made of its photo."""
        # Within a string the quotes would be escaped.
        query = 'SELECT 1 FROM photos WHERE record LIKE \'%"annotated": "%\' OR record LIKE \'%"crop": "%\' LIMIT 1'
        return bool(self._base.execute(query).fetchone())

    def records(self, last: int | None = None) -> Iterator[Record]:
        """All records in order, or those up to a row."""
        query, values = ("", ()) if last is None else ("WHERE id <= ?", (last,))
        rows = self._base.execute(f"SELECT record FROM photos {query} ORDER BY id", values)
        return (json.loads(text) for (text,) in rows)

    def find(self, name: str, last: int) -> list[Row]:
        """The records of a photo, up to a row."""
        query = "SELECT id, record, place, size, version, digest FROM photos WHERE name = ? AND id <= ? ORDER BY id"
        found = self._base.execute(query, (printable(name), last)).fetchall()
        return [
            Row(row, text, None if place is None else Stamp(unprinted(place), size, version), digest)
            for row, text, place, size, version, digest in found
        ]

    def places(self, last: int) -> Iterator[tuple[int, str, str]]:
        """Row, `printable` place and place of each photo up to a row; the name where the place is not known."""
        for row, name, place in self._base.execute("SELECT id, name, place FROM photos WHERE id <= ?", (last,)):
            yield row, place, unprinted(place or name)

    # -- writing

    def put(self, record: Record, stamp: Stamp | None, digest: str | None, row: int | None) -> None:
        """Add the record of a photo, or replace that of a row."""
        state = (None, None, None) if stamp is None else (printable(stamp.place), stamp.size, stamp.version)
        values = (json.dumps(record), *state, digest)
        if row is None:
            self._base.execute(
                f"INSERT INTO photos (name, record, pending, place, size, version, digest) "
                f"VALUES (?, ?, {_NEW}, ?, ?, ?, ?)",
                (printable(record["path"]), *values),
            )
        else:
            self._base.execute(
                f"UPDATE photos SET record = ?, place = ?, size = ?, version = ?, digest = ?, "
                f"pending = CASE pending WHEN {_NEW} THEN {_NEW} ELSE {_REPLACED} END WHERE id = ?",
                (*values, row),
            )
        self._since_commit += 1

    def stamp(self, row: int, stamp: Stamp) -> None:
        """Note the state of a photo that is the same as when its record was made."""
        self._base.execute(
            "UPDATE photos SET place = ?, size = ?, version = ? WHERE id = ?",
            (printable(stamp.place), stamp.size, stamp.version, row),
        )

    def clear(self) -> None:
        """Remove all records."""
        self._base.execute("DELETE FROM photos")

    def drop_exported(self) -> None:
        """Remove the records that the file had; it is gone."""
        self._base.execute(f"DELETE FROM photos WHERE pending = {_EXPORTED}")

    def drop(self, rows: Iterable[int]) -> None:
        """Remove records that the file has, and commit."""
        self._base.executemany("DELETE FROM photos WHERE id = ?", ((row,) for row in rows))
        self._base.execute("UPDATE run SET stale = 1")
        self.commit()

    def mark_exported(self) -> None:
        """Note that the file has all records."""
        self._base.execute(f"UPDATE photos SET pending = {_EXPORTED} WHERE pending > 0")

    def relabel(self, relabel: Callable[[Record], Record]) -> None:
        """Replace each record by what `relabel` makes of it, some at a time."""
        last = 0
        query = "SELECT id, record FROM photos WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self._base.execute(query, (last, COMMIT_RECORDS)).fetchall():
            last = rows[-1][0]
            changed = ((json.dumps(relabel(json.loads(text))), row) for row, text in rows)
            self._base.executemany("UPDATE photos SET record = ? WHERE id = ?", changed)

    def adopt(self, records: Iterable[Record]) -> None:
        """Put the records of the exported file in the place of those noted as exported; pending ones stay."""
        base = self._base
        _, last = self.count()
        for row, record in enumerate(records, last + 1):
            name = printable(record["path"])
            replaced = base.execute(
                f"UPDATE photos SET id = ? WHERE id = "
                f"(SELECT MIN(id) FROM photos WHERE name = ? AND id <= ? AND pending = {_REPLACED})",
                (row, name, last),
            )
            if replaced.rowcount:
                continue
            known = base.execute(
                f"SELECT place, size, version, digest FROM photos "
                f"WHERE name = ? AND id <= ? AND pending = {_EXPORTED} LIMIT 1",
                (name, last),
            ).fetchone()
            base.execute(
                f"INSERT INTO photos VALUES (?, ?, ?, {_EXPORTED}, ?, ?, ?, ?)",
                (row, name, json.dumps(record), *(known or (None,) * 4)),
            )
        base.execute(f"DELETE FROM photos WHERE id <= ? AND pending <> {_NEW}", (last,))
        base.execute("UPDATE photos SET id = id + (SELECT MAX(id) FROM photos) WHERE id <= ?", (last,))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a file is no database, or not one of ours."""
    name = getattr(error, "sqlite_errorname", "")
    return name in ("SQLITE_NOTADB", "SQLITE_CORRUPT") or (name == "SQLITE_ERROR" and "no such column" in str(error))


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None
