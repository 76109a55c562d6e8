"""A file of records that grows in parts, so that a run killed at any moment is taken up again and nothing is lost.

While a run is under way the folder ``FILE.parts`` lies beside FILE. Records go there as ``part-00000000.jsonl`` and so
on, each whole or not there. When the run ends well, FILE is written from its own former records and the parts, and
``FILE.run.json`` says how it came about. The end is taken in steps, so that a kill between any two doubles no record::

    FILE.parts/merged.writing -> FILE.parts/merged      from here on the parts are not needed
    the parts go
    FILE.parts/run.json -> FILE.run.json, FILE.parts/merged -> FILE
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from facegender.errors import FacegenderError, InputError, OutputError
from facegender.files import atomic_file
from facegender.formats.records import Record, Schema, printable
from facegender.formats.registry import Format, by_name
from facegender.inference.names import Names

#: A part is written at so many records, or after so many seconds.
PART_RECORDS = 512
PART_SECONDS = 5.0

_AFRESH = "--no-resume starts afresh and replaces it; or choose another --output"


def run_file(path: Path) -> Path:
    """Where it is written how a file of records came about."""
    return path.with_name(f"{path.name}.run.json")


def read_account(file: Path, settings: Record) -> Record:
    """Read how records came about.

    Raises:
        InputError: it does not say so, or it was with other settings.
    """
    try:
        account: Record = json.loads(file.read_text(encoding="utf-8"))
        changed = [name for name in settings if account[name] != settings[name]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"there are results already, and no {file} says how they came about", remedy=_AFRESH) from None
    for name in changed:
        then, now = (json.dumps(each[name]) for each in (account, settings))
        raise InputError(f"{file} tells of another {name}: {then}, and now it is {now}", remedy=_AFRESH)
    return account


class Output:
    """Records on their way into a file.

    Args:
        path: the file.
        format_: of the file.
        schema: of the records.
        settings: what the records depend on; a run is taken up only with the same.
        command: to be noted beside the file.
        resume: go on with what an earlier run with the same settings left, in its parts or in the file. Otherwise
            both are replaced.

    Raises:
        OutputError: the folder cannot be written, or another run writes there.
        InputError: what an earlier run left there came about with other settings, or nobody knows how.
        MissingExtraError: Parquet without pyarrow.
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
    ) -> None:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        format_.check()
        self.path, self._format, self._schema, self._resume = path, format_, schema, resume
        self._settings = json.loads(json.dumps(settings))
        self._command = command
        self._folder = path.with_name(f"{path.name}.parts")
        self._merged = self._folder / "merged"
        self._note = self._folder / "run.json"
        self._lock = self._folder / "lock"
        self._waiting: list[Record] = []
        self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        with self._refusals():
            self._folder.mkdir(exist_ok=True)
            self._held = self._lock.open("wb")
        if not _lock(self._held):
            self._held.close()
            raise OutputError(f"another run is writing {self.path}", remedy="wait for it, or choose another --output")
        try:
            with self._refusals():
                self._settle()
                self._done = Names(self._names())
        except FacegenderError:
            self._leave()
            raise
        except (ValueError, KeyError, TypeError) as error:  # what readers say of damage
            self._held.close()
            raise InputError(f"what was written to {self.path} before is damaged: {error}", remedy=_AFRESH) from error
        return self

    def _settle(self) -> None:
        """Bring what an earlier run left in order."""
        if not self._resume:
            self._clear()
        elif self._merged.exists():
            self._finish()
        for file in self._folder.glob("*.writing"):
            file.unlink()
        self._base = self.path if self._resume and self.path.exists() else None
        self._former = {} if self._base is None else read_account(run_file(self.path), self._settings)
        if self._parts():
            read_account(self._note, self._settings)
        else:
            self._write_note({})

    def _write_note(self, totals: dict[str, int]) -> None:
        with _whole(self._note) as file:
            json.dump({"command": self._command, **self._settings, **totals}, file, indent=2)

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.jsonl"))

    def _names(self) -> Iterator[str]:
        if self._base is not None:
            yield from (printable(record["path"]) for record in self._format.records(self._base, self._schema))
        yield from (printable(record["path"]) for record in self._records())

    def _records(self) -> Iterator[Record]:
        for part in self._parts():
            yield from by_name("jsonl").records(part, self._schema)

    @property
    def done(self) -> int:
        """How many records earlier runs left."""
        return self._done.total

    def is_done(self, name: str) -> bool:
        """Whether an earlier run left the record of this name; one that comes twice is asked for twice."""
        return self._done.take(name)

    def write(self, records: Sequence[Record]) -> None:
        """Add records that belong together: a kill leaves all of them or none. OutputError where the disk refuses."""
        self._waiting.extend(records)
        if len(self._waiting) >= PART_RECORDS or time.monotonic() - self._flushed > PART_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        parts = self._parts()
        number = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0
        with self._refusals(), _whole(self._folder / f"part-{number:08d}.jsonl") as file:
            file.writelines(json.dumps(record) + "\n" for record in self._waiting)
        self._waiting = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._flush()
            if error is None and (self._parts() or self._base is None):
                with self._refusals():
                    self._merge()
                    self._finish()
        except OutputError as refused:
            if error is None:
                error = refused
                raise
        finally:
            if error is not None and self._parts():
                error.add_note(f"The finished results are in {self._folder}; the same command goes on from there")
            self._leave()

    def _merge(self) -> None:
        """Write ``merged`` from the file's former records and the parts, and note what is in it."""
        files, items = self._schema.files, self._schema.table
        totals = {name: int(self._former.get(name, 0)) for name in (files, items, "errors")}
        writing = self._merged.with_name("merged.writing")
        with self._format.writer(writing, self._schema) as writer:
            if self._base is not None:
                for record in self._format.records(self._base, self._schema):
                    writer.write(record)
            for record in self._records():
                writer.write(record)
                totals[files] += 1
                totals[items] += len(record[items])
                totals["errors"] += record["error"] is not None
        self._write_note(totals)
        writing.replace(self._merged)

    def _finish(self) -> None:
        """Put ``merged`` in the file's place."""
        for part in self._parts():
            part.unlink()
        with atomic_file(run_file(self.path)) as note:
            note.write_bytes(self._note.read_bytes())
        self._merged.replace(self.path)
        self._clear()

    def _clear(self) -> None:
        for file in self._folder.iterdir():
            if file != self._lock:
                file.unlink()

    def _leave(self) -> None:
        """Give the folder free, and remove it where it holds nothing of worth."""
        if not self._parts() and not self._merged.exists():
            self._clear()
            self._lock.unlink(missing_ok=True)
        self._held.close()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OutputError(f"cannot write {self.path.name} in the folder {self.path.parent}: {reason}") from error


@contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its name when all of it is on the disk."""
    writing = path.with_name(f"{path.name}.writing")
    with writing.open("w", encoding="utf-8", newline="\n") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    writing.replace(path)


def _lock(file: IO[Any]) -> bool:
    """Take a file for this process alone until it is closed or the process ends; True where systems cannot."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
