"""Files and folders that are either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facegender.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place when the block ends without an exception.

    The temporary name is always the same, so that what a killed run leaves is overwritten by the next. A link stays:
    the file that it leads to is written.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or `path` is a folder, a pipe or a device.
    """
    with _refusals(path):
        place = Path(os.path.realpath(path))
        check_regular(path)
        temporary = place.with_name(f".{place.name}.writing")
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        try:
            yield temporary
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)


def check_regular(path: Path) -> None:
    """OutputError where something is at `path` that no file can replace: a folder, a pipe, a device."""
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 (which raise nothing)
        if os.path.isdir(path):  # noqa: PTH112
            raise OutputError(f"cannot write {path}: it is a folder", remedy="name a file in it")
        raise OutputError(f"cannot write {path}: it is no regular file", remedy="choose another place")


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all; line ends stay as they are.

    Raises:
        OutputError: as for `atomic_file`.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


@contextmanager
def atomic_folder(path: Path, *, resume: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the place of `path` when the block ends without an exception.

    Args:
        resume: after an interruption the temporary folder stays, and the next call yields it as it is.

    Raises:
        OutputError: the parent folder cannot be written, or the disk is full.
    """
    path = path.absolute()  # "." has no name
    temporary = path.with_name(f".{path.name}.writing")
    old = path.with_name(f".{path.name}.old")
    with _refusals(path):
        if not resume:
            shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True, exist_ok=True)
        kept = False
        try:
            yield temporary
            if path.exists():
                # Aside, not away: a kill between the two renames leaves both the old and the new one.
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            temporary.rename(path)
        except KeyboardInterrupt:
            kept = resume
            raise
        finally:
            if old.exists() and not path.exists():  # stopped between the two
                old.rename(path)
            if not kept:
                shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def cut_half_line(path: Path) -> None:
    """Remove what a killed run may have left after the last whole line of a file, if there is one: more may follow."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {path}: {reason}", remedy="choose another place, or make room") from error


def read_only_uri(uri: str) -> str:
    """A file's URI for SQLite, to read the file only.

    SQLite takes no host: a path of a Windows share follows four slashes.
    """
    return (uri if uri.startswith("file:///") else uri.replace("file://", "file:////", 1)) + "?mode=ro"
