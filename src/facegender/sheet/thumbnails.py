"""Small pictures of faces, on sheets of many, and what waits for its place there or on the page."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import PIL.Image

from facegender.errors import OutputError, PhotoReadError
from facegender.faces.decode import decode_reduced
from facegender.faces.types import Image
from facegender.files import atomic_file
from facegender.formats.records import Record
from facegender.inference.pictures import ANNOTATED_SUFFIX, MARK, is_made
from facegender.sources import Source, read

#: Pixels of the side of a thumbnail.
SIDE = 96
#: Thumbnails in a row of a sheet, and rows on it.
ACROSS = 16
#: Around a face's box, on each side, as a share of its larger side.
_MARGIN = 0.2
#: In place of the number of a thumbnail: there is none.
NO_PICTURE = -1
_NAME = re.compile(rf"sheet-[0-9a-f]{{12}}{re.escape(ANNOTATED_SUFFIX)}")


def thumbnails(source: Source, record: Record, max_pixels: int) -> list[Image | None]:
    """A uint8 thumbnail of `SIDE` x `SIDE` x 3 of each face; None where the photo is not as it was.

    Args:
        source: the photo.
        record: of it.
        max_pixels: of the photo.
    """
    faces = record["faces"]
    sides = [(1 + 2 * _MARGIN) * max(face["box"][2:]) for face in faces]
    try:
        picture = decode_reduced(
            read(source), lambda width, height: SIDE / max(SIDE, min(sides)), max_pixels=max_pixels, name=source.name
        )
    except PhotoReadError:
        return [None] * len(faces)
    if (picture.width, picture.height) != (record["width"], record["height"]):
        return [None] * len(faces)
    image = PIL.Image.fromarray(picture.pixels)
    scale = image.width / picture.width
    found: list[Image | None] = []
    for face, side in zip(faces, sides, strict=True):
        x, y, width, height = face["box"]
        square = min(side * scale, *image.size)
        left = min(max(0.0, (x + width / 2) * scale - square / 2), image.width - square)
        top = min(max(0.0, (y + height / 2) * scale - square / 2), image.height - square)
        box = (left, top, left + square, top + square)
        found.append(np.asarray(image.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC, box, reducing_gap=3)))
    return found


class Waiting:
    """Pieces of data in a file without a name, as memory could not hold those of millions of faces: it has eight bytes
    of each. All are added before one is read.

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


def write_sheets(pieces: Waiting, order: npt.NDArray[np.int64], folder: Path) -> list[str]:
    """Write JPEG sheets of `ACROSS` x `ACROSS` thumbnails.

    Args:
        pieces: the thumbnails.
        order: numbers of thumbnails, row by row; `NO_PICTURE` leaves a place empty.
        folder: of the sheets.

    Returns:
        Their names.

    Raises:
        OutputError: the folder cannot be written.
    """
    names = []
    for begin in range(0, len(order), ACROSS**2):
        here = order[begin : begin + ACROSS**2]
        sheet = np.full((-(-len(here) // ACROSS) * SIDE, min(len(here), ACROSS) * SIDE, 3), 128, np.uint8)
        for place, number in enumerate(here.tolist()):
            if number != NO_PICTURE:
                top, left = (SIDE * part for part in divmod(place, ACROSS))
                thumbnail = np.frombuffer(pieces.read(number), np.uint8).reshape(SIDE, SIDE, 3)
                sheet[top : top + SIDE, left : left + SIDE] = thumbnail
        encoded = io.BytesIO()
        PIL.Image.fromarray(sheet).save(encoded, "JPEG", quality=82, optimize=True, comment=MARK)
        names.append(f"sheet-{hashlib.sha256(encoded.getvalue()).hexdigest()[:12]}{ANNOTATED_SUFFIX}")
        with atomic_file(folder / names[-1]) as temporary:
            temporary.write_bytes(encoded.getvalue())
    return names


def remove_sheets(folder: Path, keep: Sequence[str]) -> None:
    """Remove the sheets of earlier reports."""
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path.name not in keep and is_made(str(path)):
            path.unlink(missing_ok=True)
