"""Whether a photo is the one that a record was made of, by its size and time, then by its content."""

from __future__ import annotations

import os
from pathlib import Path

from facegender.errors import PhotoReadError
from facegender.inference.journal import Row
from facegender.sources import Source, Stamp, content_digest, read
from facegender.sources.source import InMemory

#: Errors that may be gone though the photo is as it was: of rights, a disk or a network, of what is installed, of a
#: machine with too little time or memory, of a server that takes larger files now.
_PASSING = ("permission", "unreadable", "missing_extra", "timeout", "crashed", "byte_limit")


def is_unchanged(photo: Source | str, stamp: Stamp | None, row: Row, *, error: str | None) -> bool:
    """Whether a photo is as it was when its record was made, and would have the same record now.

    Args:
        photo: the photo; or its name alone, where it cannot have changed.
        stamp: of the photo now.
        row: its record.
        error: the kind of error that the record is of.
    """
    if error in _PASSING:
        return False
    if isinstance(photo, InMemory) and row.digest is not None:
        return content_digest(photo.data) == row.digest
    if isinstance(photo, str) or stamp is None or stamp == row.stamp:
        return True
    if row.stamp is None:  # it was not there, or came from a file without its journal
        return error is None
    return row.stamp.size == stamp.size and row.digest is not None and _digest(photo) == row.digest


def is_of_another(stamp: Stamp | None, row: Row) -> bool:
    """Whether a record is of another photo or archive, which is still where it was, though they have one name.

    Names in lists and on the command line may be relative to other folders.
    """
    if stamp is None or row.stamp is None or row.stamp.place == stamp.place:
        return False
    try:
        return not os.path.samefile(row.stamp.place, stamp.place)  # noqa: PTH121
    except (OSError, ValueError):  # it was moved
        return False


def is_gone(place: str) -> bool:
    """Whether a local file, or the archive that holds a member of that name, is not there any more."""
    if "://" in place:
        return False
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return not any(os.path.isfile(parent) for parent in Path(place).parents)  # noqa: PTH113 (False where it fails)
    except (OSError, ValueError):  # this user may not look, or the disk fails
        pass
    return False


def _digest(photo: Source) -> str | None:
    try:
        return content_digest(read(photo))
    except PhotoReadError:
        return None
