"""Results on their way into a file: a run killed at any moment can be resumed, and no photo is lost or doubled.

While a run is under way, records go into the journal beside FILE. When it ends well, FILE is exported from the journal
in one go, and ``FILE.run.json`` says how it came about. Without the journal (it was deleted, or FILE was edited since),
it is made again from FILE.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from facegender.errors import InputError, OutputError
from facegender.files import atomic_file, check_regular
from facegender.formats.records import Record, Schema, printable
from facegender.formats.registry import Format, reading
from facegender.inference.changes import is_gone, is_of_another, is_unchanged
from facegender.inference.journal import Journal, is_damage, journal_file
from facegender.inference.pictures import check_folder
from facegender.inference.provenance import AFRESH, read_provenance, require_same_settings, run_file
from facegender.sources import LocalFile, Source, Stamp
from facegender.sources.source import Unreadable


@dataclass(frozen=True, slots=True)
class _Expected:
    """A photo whose record is expected: its state now, the row that it replaces, and, where the photo is the same, the
    record there.
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
        settings: what the records depend on; a run is resumed only with the same.
        command: to be noted beside the file.
        resume: continue what an earlier run with the same settings left, in its journal or in the file. Otherwise
            both are replaced.
        prune: when the run ends well, drop the records of photos that it did not list and that are gone.
        relabel: makes of the record of an earlier run the one that these settings give, where they differ from those
            of that run in the least confidence of the model only. None refuses to resume there too.
        view: how the records are written, where not by `schema`. Another view than that of an earlier run only writes
            the file again; from a file that was edited or lost its journal, no faces can be read.

    Attributes:
        done: how many records earlier runs left.
        pruned: records dropped, after the run has ended.
        relabelled: whether the records of earlier runs were made with another least confidence.
        former_confidence: which one, where `relabelled`; None where there were several.
        former_view: the table that the rows of the file were of, where `view` has it written again; else None.
        limited: whether a limit has left some of the collection out, to be noted beside the file; None without one.

    Raises:
        OutputError: the folder cannot be written, or another run writes there.
        InputError: what an earlier run left there came about with other settings, or with unknown ones.
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
        check_regular(path)
        format_.check()
        self.path, self._format, self._schema = path, format_, schema
        self._resume, self._prune_wanted, self.pruned = resume, prune, 0
        self._relabel, self.relabelled = relabel, False
        self.former_confidence: float | None = None
        self.former_view: str | None = None
        self.limited: bool | None = None
        self._view = view or schema
        self._rows = {} if view is None else {"rows": view.table}
        self._settings = json.loads(json.dumps(settings))
        self._command = command
        self._file = journal_file(path)
        self._lock = threading.Lock()  # an engine may ask from a thread of its own
        self._expected: defaultdict[str, deque[_Expected]] = defaultdict(deque)
        self._archives: set[str] = set()
        self._half_listed: set[str] = set()

    def __enter__(self) -> Self:
        with self._refusals():
            self._journal = self._opened()
            try:
                self._take_up()
            except BaseException:
                self._journal.rollback()
                self._leave()
                raise
        self.done, self._last = self._journal.count()
        self._seen = bytearray(self._last + 1)
        return self

    # -- during the run

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
            if isinstance(photo, Unreadable):  # an archive that breaks off: what follows may be there
                self._half_listed.add(printable(str(Path(photo.name).absolute())))
            for row in self._journal.find(name, self._last):
                if not self._seen[row.row]:
                    record = json.loads(row.text)
                    same = is_unchanged(photo, stamp, row, error=(record["error"] or {}).get("kind"))
                    if not same and is_of_another(stamp, row):
                        continue
                    self._seen[row.row] = True
                    if same and stamp is not None and stamp != row.stamp:
                        self._journal.stamp(row.row, stamp)
                    if (complete is None or complete(record)) and same:
                        return True
                    self._expected[name].append(_Expected(stamp, row.row, record if same else None))
                    return False
            self._expected[name].append(_Expected(stamp))
            return False

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
                name = record["path"]
                expected = self._expected[name].popleft() if self._expected.get(name) else _Expected(None)
                if not self._expected.get(name):
                    self._expected.pop(name, None)
                whole = record if expected.former is None else _with_pictures_of(expected.former, record)
                self._journal.put(whole, expected.stamp, digest, expected.row)
            self._journal.commit_when_due()

    # -- at the start

    def _opened(self) -> Journal:
        check_folder(self.path.parent)
        return Journal.open(self._file, replace_damaged=not self._resume)

    def _take_up(self) -> None:
        """Bring what earlier runs left in order."""
        journal = self._journal
        now = _state_of(self.path)
        if not self._resume:
            journal.clear()
            self._note_run([now])
            return
        settings, known, stale = journal.run()
        labels = self._relabel is None
        former: list[Mapping[str, Any]] = []
        if now is None:  # the user has removed what was exported
            journal.drop_exported()
        elif now not in known:
            former.append(read_provenance(self.path, self._settings, labels=labels))
            if "rows" in former[-1]:
                message = f"{self.path} has one row a photo, and its journal was deleted or does not belong to it"
                raise InputError(f"{message}: faces cannot be read from it", remedy=AFRESH)
            journal.adopt(self._records_of_file())
        if settings is not None and not journal.is_empty():
            former.append(settings)
            require_same_settings(settings, self._settings, self.path, labels=labels)
        # Where both were as now, or nothing is there, there is nothing to relabel.
        if any(then[name] != value for then in former for name, value in self._settings.items()):
            assert self._relabel is not None
            journal.relabel(self._relabel)  # exported when the run ends
            self.relabelled = True
            confidences = {then["model"].get("min_confidence") for then in former}
            self.former_confidence = confidences.pop() if len(confidences) == 1 else None
        others = [then for then in former if then.get("rows") != self._rows.get("rows")]
        if others and now is not None:
            self.former_view = others[0].get("rows", self._schema.table)
        self._note_run([now], stale=stale or self.relabelled or bool(others))

    def _records_of_file(self) -> Iterator[Record]:
        """Of an edited file. Errors of the journal, which takes them, are none of the file's."""
        with reading(self.path, self._format):
            yield from self._format.records(self.path, self._schema)

    def _note_run(self, known: Sequence[object], *, stale: bool = False) -> None:
        """Note the settings, and by its states the file whose records the journal holds."""
        self._journal.note_run(self._settings | self._rows, known, stale)

    # -- at the end

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            with self._refusals():
                self._journal.commit()
                if error is None:
                    if self._prune_wanted:
                        self.pruned = self._prune()
                    if self._has_pending() or not self.path.exists():
                        self._export()
                    else:
                        self._correct_limited()
        except OutputError as refused:
            if error is None:
                error = refused
                raise
        finally:
            if error is not None and self._has_pending():
                error.add_note(f"The finished results are in {self._file}; the same command continues from there")
            elif isinstance(error, KeyboardInterrupt):
                error.add_note(f"Nothing was written to {self.path}")
            self._leave()

    def _has_pending(self) -> bool:
        try:
            return not self._journal.is_exported()
        except sqlite3.Error:
            return False

    def _prune(self) -> int:
        """Drop the records of photos that are gone; how many they are."""
        listed = self._archives - self._half_listed

        def is_left_over(key: str, place: str) -> bool:
            # The error of an archive has its name, which may be relative.
            return key in listed or printable(str(Path(place).absolute())) in listed or is_gone(place)

        places = self._journal.places(self._last)
        gone = [row for row, key, place in places if not self._seen[row] and is_left_over(key, place)]
        if gone:
            self._journal.drop(gone)
        return len(gone)

    def _export(self) -> None:
        """Write the file from the journal."""
        files, items = self._schema.files, self._schema.table
        totals = dict.fromkeys((files, items, "errors"), 0)
        with atomic_file(self.path) as writing:
            writing.unlink()
            schema = self._view.with_pictures() if self._journal.has_pictures() else self._view
            with self._format.writer(writing, schema) as writer:
                for record in self._journal.records():
                    writer.write(schema.prepared(record))
                    totals[files] += 1
                    totals[items] += len(record[items])
                    totals["errors"] += record["error"] is not None
            with writing.open("rb+") as written:
                os.fsync(written.fileno())
            # A kill from here on leaves one of two files, and the journal knows both.
            self._note_run([_state_of(self.path), _state_of(writing)], stale=True)
            self._note_provenance(totals)
        self._journal.mark_exported()
        self._note_run([_state_of(self.path)])

    def _note_provenance(self, totals: Mapping[str, int]) -> None:
        limited = {} if self.limited is None else {"limited": self.limited}
        provenance = {"command": self._command, **self._settings, **self._rows, **limited, **totals}
        with atomic_file(run_file(self.path)) as file:
            file.write_text(json.dumps(provenance, indent=2), encoding="utf-8")

    def _correct_limited(self) -> None:
        """Where nothing was added: what a limit left out may be gone, or photos have come that it leaves out."""
        try:
            noted = json.loads(run_file(self.path).read_text(encoding="utf-8"))
            if noted.get("limited") == self.limited:
                return
            totals = {name: noted[name] for name in (self._schema.files, self._schema.table, "errors")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # deleted or edited: it stays so
            return
        self._note_provenance(totals)

    def records(self) -> Iterator[Record]:
        """The records that earlier runs left."""
        return self._journal.records(self._last)

    def _leave(self) -> None:
        """Close the journal, and remove it where it holds nothing."""
        try:
            empty = self._journal.is_empty()
        except sqlite3.Error:
            empty = False
        if empty:
            with suppress(PermissionError):  # Windows removes no open file; an empty journal does no harm
                self._file.unlink(missing_ok=True)
        self._journal.close()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                remedy = "wait for it, or choose another --output"
                raise OutputError(f"another run is writing {self.path}", remedy=remedy) from error
            if is_damage(error):
                raise InputError(f"{self._file} is damaged: {error}", remedy=AFRESH) from error
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


def _state_of(file: Path) -> list[int] | None:
    """What tells one state of an exported file from another; it stays through a renaming."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return [status.st_size, status.st_mtime_ns]
