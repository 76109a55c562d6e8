"""Results on their way into a file: a run killed at any moment is taken up again, and no photo is lost or doubled.

Beside FILE lies its journal, ``FILE.journal``, a SQLite database with the record of every photo. While a run is under
way, records go there, some hundred in a transaction. When it ends well, FILE is exported from the journal in one go,
and ``FILE.run.json`` says how it came about. The journal stays: it knows the size, the time and the digest of each
photo, so that a photo replaced under its name is analysed anew, and copies are recognized. Without the journal (it was
deleted, or FILE was edited since), it is made again from FILE.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from facegender.errors import FacegenderError, InputError, OutputError, PhotoReadError
from facegender.files import atomic_file
from facegender.formats.records import Record, Schema, printable, unprinted
from facegender.formats.registry import Format, reading
from facegender.sources import LocalFile, Source, Stamp, content_digest, read
from facegender.sources.source import InMemory

#: A transaction ends at so many records, or after so many seconds.
COMMIT_RECORDS = 512
COMMIT_SECONDS = 5.0

_AFRESH = "--no-resume starts afresh and replaces it; or choose another --output"

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


def run_file(path: Path) -> Path:
    """Where it is written how a file of records came about."""
    return path.with_name(f"{path.name}.run.json")


def journal_file(path: Path) -> Path:
    """The journal of a file of records."""
    return path.with_name(f"{path.name}.journal")


def read_provenance(file: Path, settings: Record, *, labels: bool = True) -> Record:
    """Read how records came about; without `labels`, whatever their least confidence.

    Raises:
        InputError: it does not say so, or it was with other settings.
    """
    try:
        provenance: Record = json.loads(file.read_text(encoding="utf-8"))
        _require_same(provenance, settings, file, labels=labels)
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"there are results already, and no {file} says how they came about", remedy=_AFRESH) from None
    return provenance


def _require_same(then: Mapping[str, Any], settings: Record, file: Path, *, labels: bool) -> None:
    def compared(value: Any) -> Any:
        if labels or not isinstance(value, dict):
            return value
        return {key: inner for key, inner in value.items() if key != "min_confidence"}

    for name, value in settings.items():
        if compared(then[name]) != compared(value):
            before, now = json.dumps(then[name]), json.dumps(value)
            raise InputError(f"{file} tells of another {name}: {before}, and now it is {now}", remedy=_AFRESH)


def content_digests(path: Path) -> dict[str, str]:
    """The SHA-256 of each photo of a file of records, by `printable` name, as far as its journal knows them.

    Empty without a journal, or while a run writes there.
    """
    journal = journal_file(path)
    if not journal.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as base:
            return dict(base.execute("SELECT name, digest FROM photos WHERE digest IS NOT NULL"))
    except sqlite3.Error:
        return {}


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, with all that its journal knows of each, after a run has ended.

    Raises:
        InputError: there is no journal, it is damaged, or a run writes there.
    """
    journal = journal_file(path)
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as base:
            for (text,) in base.execute("SELECT record FROM photos ORDER BY id"):
                yield json.loads(text)
    except sqlite3.Error as error:
        raise InputError(f"cannot read {journal}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Asked:
    """A photo whose record is expected: what was seen of it beforehand, the row that it replaces, and, where the photo
    is the same, the record there.
    """

    stamp: Stamp | None
    row: int | None = None
    former: Record | None = None


class Output:
    """Records on their way into a file.

    Args:
        path: the file.
        format_: of the file.
        schema: of the records.
        settings: what the records depend on; a run is taken up only with the same.
        command: to be noted beside the file.
        resume: go on with what an earlier run with the same settings left, in its journal or in the file. Otherwise
            both are replaced.
        prune: when the run ends well, drop the records of photos that it did not list and that are gone.
        relabel: makes of the record of an earlier run the one that these settings give, where they differ from those
            of that run in the least confidence of the model only. None refuses to go on there too.
        view: how the records are written, where not by `schema`. Another view than that of an earlier run only writes
            the file again; from a file that was edited or lost its journal, no faces can be read.

    Attributes:
        pruned: records dropped, after the run has ended.
        relabelled: whether the records of earlier runs were made with another least confidence.

    Raises:
        OutputError: the folder cannot be written, or another run writes there.
        InputError: what an earlier run left there came about with other settings, or nobody knows how.
        MissingExtraError: the format needs a package that is not installed.
    """

    def __init__(
        self,
        path: Path,
        format_: Format,
        schema: Schema,
        settings: Record,
        *,
        command: str = "",
        resume: bool = True,
        prune: bool = False,
        relabel: Callable[[Record], Record] | None = None,
        view: Schema | None = None,
    ) -> None:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        format_.check()
        self.path, self._format, self._schema = path, format_, schema
        self._resume, self._prune_wanted, self.pruned = resume, prune, 0
        self._relabel, self.relabelled = relabel, False
        self._view = view or schema
        self._rows = {} if view is None else {"rows": view.table}
        self._settings = json.loads(json.dumps(settings))
        self._command = command
        self._file = journal_file(path)
        self._lock = threading.Lock()  # an engine may ask from a thread of its own
        self._asked: defaultdict[str, deque[_Asked]] = defaultdict(deque)
        self._archives: set[str] = set()
        self._since_commit, self._committed = 0, time.monotonic()

    def __enter__(self) -> Self:
        with self._refusals():
            self._base = self._opened()
            try:
                self._take_up()
            except BaseException:
                self._base.rollback()
                self._leave()
                raise
        counted = self._base.execute("SELECT COUNT(*), COALESCE(MAX(id), 0) FROM photos").fetchone()
        self._total, self._last = map(int, counted)
        self._seen = bytearray(self._last + 1)
        return self

    # -- what is asked and given while a run is under way

    @property
    def done(self) -> int:
        """How many records earlier runs left."""
        return self._total

    def is_done(self, photo: Source | str, complete: Callable[[Record], bool] | None = None) -> bool:
        """Whether an earlier run left the record of a photo as it is now; one that comes twice is asked for twice.

        A photo has changed when its size or time has, and then its content; only then is it read.

        Args:
            photo: the photo; or its name alone, where it cannot have changed.
            complete: whether a record has all that is wanted of it now, asked of each that is there; by default it has.
        """
        name = photo if isinstance(photo, str) else photo.name
        stamp = None if isinstance(photo, str) else photo.stamp()
        with self._lock, self._refusals():
            if stamp is not None and not isinstance(photo, LocalFile):
                self._archives.add(printable(stamp.place))
            query = "SELECT id, record, size, version, digest FROM photos WHERE name = ? AND id <= ? ORDER BY id"
            for row, record, *before in self._base.execute(query, (printable(name), self._last)).fetchall():
                if not self._seen[row]:
                    self._seen[row] = True
                    told = json.loads(record)
                    same = self._is_same(row, photo, stamp, told, *before)
                    if (complete is None or complete(told)) and same:
                        return True
                    self._asked[name].append(_Asked(stamp, row, told if same else None))
                    return False
            self._asked[name].append(_Asked(stamp))
            return False

    def _is_same(
        self,
        row: int,
        photo: Source | str,
        stamp: Stamp | None,
        record: Record,
        size: int | None,
        version: int | None,
        digest: str | None,
    ) -> bool:
        """Whether a photo is as it was when its record was made; what is news of it goes into its row."""
        if isinstance(photo, InMemory) and digest is not None:
            return content_digest(photo.data) == digest
        if isinstance(photo, str) or stamp is None or (size, version) == (stamp.size, stamp.version):
            return True
        if size is None and record["error"] is not None:  # it was not there, or nothing is known of it
            return False
        if size is not None and (size != stamp.size or digest is None or _digest(photo) != digest):
            return False
        self._base.execute(
            "UPDATE photos SET place = ?, size = ?, version = ? WHERE id = ?",
            (printable(stamp.place), stamp.size, stamp.version, row),
        )
        return True

    def write(self, records: Sequence[Record], digests: Sequence[str | None] | None = None) -> None:
        """Add records that belong together: a kill leaves all of them or none.

        Args:
            records: in the order in which `is_done` asked for those of the same name.
            digests: of the photos, as `content_digest` gives them, where they are known.

        Raises:
            OutputError: the disk refuses.
        """
        with self._lock, self._refusals():
            for record, digest in zip(records, digests or [None] * len(records), strict=True):
                self._put(record, digest)
            self._since_commit += len(records)
            if self._since_commit >= COMMIT_RECORDS or time.monotonic() - self._committed > COMMIT_SECONDS:
                self._commit()

    def _put(self, record: Record, digest: str | None) -> None:
        name = record["path"]
        asked = self._asked[name].popleft() if self._asked.get(name) else _Asked(None)
        if not self._asked.get(name):
            self._asked.pop(name, None)
        stamp = asked.stamp
        told = (None, None, None) if stamp is None else (printable(stamp.place), stamp.size, stamp.version)
        if asked.former is not None:
            record = _with_pictures_of(asked.former, record)
        values = (json.dumps(record), *told, digest)
        if asked.row is None:
            self._base.execute(
                f"INSERT INTO photos (name, record, pending, place, size, version, digest) "
                f"VALUES (?, ?, {_NEW}, ?, ?, ?, ?)",
                (printable(name), *values),
            )
        else:
            self._base.execute(
                f"UPDATE photos SET record = ?, place = ?, size = ?, version = ?, digest = ?, "
                f"pending = CASE pending WHEN {_NEW} THEN {_NEW} ELSE {_REPLACED} END WHERE id = ?",
                (*values, asked.row),
            )

    def _commit(self) -> None:
        self._base.commit()
        self._since_commit, self._committed = 0, time.monotonic()

    # -- the beginning

    def _opened(self) -> sqlite3.Connection:
        """The journal, for this process alone until it is closed or the process ends."""
        while True:
            self._file.touch()
            before = _inode(self._file)
            base = sqlite3.connect(self._file, timeout=0, check_same_thread=False)
            try:
                base.execute("PRAGMA locking_mode = EXCLUSIVE")
                base.execute("BEGIN EXCLUSIVE")
                if before is not None and before == _inode(self._file):
                    base.commit()
                    return self._prepared(base)
                base.close()  # it was removed between the two: the lock is on a file without a name
            except sqlite3.Error as error:
                damaged = _is_damage(error) and not self._resume
                if damaged and before == _inode(self._file):  # not a journal that another run has made since
                    self._file.unlink(missing_ok=True)
                base.close()
                if not damaged:
                    raise

    @staticmethod
    def _prepared(base: sqlite3.Connection) -> sqlite3.Connection:
        """A journal with its tables; sqlite3.Error where it is none of ours."""
        base.executescript(_SCHEMA)
        base.execute("SELECT name, record, pending, place, size, version, digest FROM photos LIMIT 1")
        return base

    def _take_up(self) -> None:
        """Bring what earlier runs left in order."""
        base = self._base
        now = _stamp_of(self.path)
        if not self._resume:
            base.execute("DELETE FROM photos")
            self._note([now])
            return
        settings, known, stale = base.execute("SELECT settings, known, stale FROM run").fetchone() or (None, "[]", 0)
        labels = self._relabel is None
        former: list[Mapping[str, Any]] = []
        if now is None:  # the user has removed what was exported
            base.execute(f"DELETE FROM photos WHERE pending = {_EXPORTED}")
        elif now not in json.loads(known):
            former.append(read_provenance(run_file(self.path), self._settings, labels=labels))
            if "rows" in former[-1]:
                message = f"{self.path} has one row a photo, and its journal was deleted or does not belong to it"
                raise InputError(f"{message}: faces cannot be read from it", remedy=_AFRESH)
            self._adopt()
        if settings is not None and base.execute("SELECT 1 FROM photos LIMIT 1").fetchone():
            former.append(json.loads(settings))
            _require_same(former[-1], self._settings, self._file, labels=labels)
        # Where both were as now, or nothing is there, there is nothing to relabel.
        if any(then[name] != value for then in former for name, value in self._settings.items()):
            self._relabel_all()
        reshaped = any(then.get("rows") != self._rows.get("rows") for then in former)
        self._note([now], stale=bool(stale) or self.relabelled or reshaped)

    def _relabel_all(self) -> None:
        """Relabel the records, some at a time; they are exported when the run ends."""
        assert self._relabel is not None
        self.relabelled = True
        last = 0
        query = "SELECT id, record FROM photos WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self._base.execute(query, (last, COMMIT_RECORDS)).fetchall():
            last = rows[-1][0]
            changed = ((json.dumps(self._relabel(json.loads(text))), row) for row, text in rows)
            self._base.executemany("UPDATE photos SET record = ? WHERE id = ?", changed)

    def _adopt(self) -> None:
        """Take the records of the file over: its journal does not know it, or it was edited since."""
        base = self._base
        [(last,)] = base.execute("SELECT COALESCE(MAX(id), 0) FROM photos")
        with reading(self.path, self._format):
            for row, record in enumerate(self._format.records(self.path, self._schema), last + 1):
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

    def _note(self, known: Sequence[object], *, stale: bool = False) -> None:
        """Note the settings, by its stamp the file whose records the journal holds, and whether that has too many."""
        self._base.execute("DELETE FROM run")
        values = (json.dumps(self._settings | self._rows), json.dumps(known), stale)
        self._base.execute("INSERT INTO run VALUES (?, ?, ?)", values)
        self._commit()

    # -- the end

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._refusals():
                self._commit()
                if error is None:
                    if self._prune_wanted:
                        self.pruned = self._prune()
                    if self._has_pending() or not self.path.exists():
                        self._export()
        except OutputError as refused:
            if error is None:
                error = refused
                raise
        finally:
            if error is not None and self._has_pending():
                error.add_note(f"The finished results are in {self._file}; the same command goes on from there")
            self._leave()

    def _has_pending(self) -> bool:
        try:
            query = "SELECT 1 FROM photos WHERE pending > 0 UNION ALL SELECT 1 FROM run WHERE stale LIMIT 1"
            return bool(self._base.execute(query).fetchone())
        except sqlite3.Error:
            return False

    def _prune(self) -> int:
        """Drop the rows of photos that are gone; how many they are."""
        query = "SELECT id, name, place FROM photos WHERE id <= ?"
        gone = [
            (row,)
            for row, name, place in self._base.execute(query, (self._last,))
            if not self._seen[row] and (place in self._archives or _is_gone(unprinted(place or name)))
        ]
        if gone:
            self._base.executemany("DELETE FROM photos WHERE id = ?", gone)
            self._base.execute("UPDATE run SET stale = 1")
            self._commit()
        return len(gone)

    def _export(self) -> None:
        """Write the file from the journal."""
        files, items = self._schema.files, self._schema.table
        totals = dict.fromkeys((files, items, "errors"), 0)
        with atomic_file(self.path) as writing:
            writing.unlink()
            schema = self._view.with_pictures() if self._has_pictures() else self._view
            with self._format.writer(writing, schema) as writer:
                for (text,) in self._base.execute("SELECT record FROM photos ORDER BY id"):
                    record = json.loads(text)
                    writer.write(schema.prepared(record))
                    totals[files] += 1
                    totals[items] += len(record[items])
                    totals["errors"] += record["error"] is not None
            _sync(writing)
            # A kill from here on leaves one of two files, and the journal knows both.
            self._note([_stamp_of(self.path), _stamp_of(writing)], stale=True)
            with atomic_file(run_file(self.path)) as note:
                provenance = {"command": self._command, **self._settings, **self._rows, **totals}
                note.write_text(json.dumps(provenance, indent=2), encoding="utf-8")
        self._base.execute(f"UPDATE photos SET pending = {_EXPORTED} WHERE pending > 0")
        self._note([_stamp_of(self.path)])

    def _has_pictures(self) -> bool:
        # Within a string the quotes would be escaped.
        query = 'SELECT 1 FROM photos WHERE record LIKE \'%"annotated": "%\' OR record LIKE \'%"crop": "%\' LIMIT 1'
        return bool(self._base.execute(query).fetchone())

    def records(self) -> Iterator[Record]:
        """The records that earlier runs left."""
        query = "SELECT record FROM photos WHERE id <= ? ORDER BY id"
        return (json.loads(text) for (text,) in self._base.execute(query, (self._last,)))

    def _leave(self) -> None:
        """Close the journal, and remove it where it holds nothing."""
        try:
            empty = not self._base.execute("SELECT 1 FROM photos LIMIT 1").fetchone()
        except sqlite3.Error:
            empty = False
        if empty:
            self._file.unlink(missing_ok=True)
        self._base.close()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except FacegenderError:
            raise
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                remedy = "wait for it, or choose another --output"
                raise OutputError(f"another run is writing {self.path}", remedy=remedy) from error
            if _is_damage(error):
                raise InputError(f"{self._file} is damaged: {error}", remedy=_AFRESH) from error
            raise self._refused(str(error)) from error
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from error

    def _refused(self, reason: str) -> OutputError:
        return OutputError(f"cannot write {self.path.name} in the folder {self.path.parent}: {reason}")


def _with_pictures_of(former: Record, record: Record) -> Record:
    """A record with the names of the pictures that an earlier run made of the same photo, where it has none."""
    if former.get("annotated") is not None:
        record = record | {"annotated": record.get("annotated", former["annotated"])}
    if "faces" in record and len(record["faces"]) == len(former["faces"]):
        pairs = zip(former["faces"], record["faces"], strict=True)
        record = record | {
            "faces": [b | ({"crop": a["crop"]} if "crop" in a and "crop" not in b else {}) for a, b in pairs]
        }
    return record


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether a file is no database, or not one of ours."""
    name = getattr(error, "sqlite_errorname", "")
    return name in ("SQLITE_NOTADB", "SQLITE_CORRUPT") or (name == "SQLITE_ERROR" and "no such column" in str(error))


def _digest(photo: Source) -> str | None:
    try:
        return content_digest(read(photo))
    except PhotoReadError:
        return None


def _inode(file: Path) -> int | None:
    try:
        return file.stat().st_ino
    except OSError:
        return None


def _stamp_of(file: Path) -> list[int] | None:
    """What tells one state of an exported file from another; it stays through a renaming."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _is_gone(place: str) -> bool:
    """Whether a local file, or the archive that holds a member of that name, is not there any more."""
    if "://" in place:
        return False
    path = Path(place)
    return not os.path.lexists(path) and not any(parent.is_file() for parent in path.parents)
