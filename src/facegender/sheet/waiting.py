"""What waits for its place on the page or on a sheet: on the disk, since memory could not hold that of millions."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from facegender.errors import OutputError


class Waiting:
    """Pieces of data in a file without a name; memory holds eight bytes of each. All are added before one is read.

    Its methods raise an OutputError where there is no room for them.
    """

    def __init__(self) -> None:
        self._ends = array("Q", [0])

    def __enter__(self) -> Self:
        with _refusals():
            self._file = tempfile.TemporaryFile()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[bytes]:
        return (self.read(number) for number in range(len(self)))

    def add(self, piece: bytes) -> int:
        """Add one; its number."""
        with _refusals():
            self._file.write(piece)
        self._ends.append(self._ends[-1] + len(piece))
        return len(self) - 1

    def read(self, number: int) -> bytes:
        """The piece of a number."""
        with _refusals():
            self._file.seek(self._ends[number])  # what is still to be written is written now
            return self._file.read(self._ends[number + 1] - self._ends[number])


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        folder = tempfile.gettempdir()
        reason = error.strerror or error
        raise OutputError(f"cannot keep the faces of the report in {folder}: {reason}", remedy="set TMPDIR") from error
