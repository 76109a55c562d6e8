"""Small pictures of faces, on sheets of many."""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
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


class Thumbnails:
    """Thumbnails on their way onto sheets; they wait in a file without a name."""

    def __init__(self) -> None:
        self._count = 0

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, thumbnail: Image) -> int:
        """Add one; its number. OutputError where there is no room for it."""
        try:
            self._file.write(thumbnail.tobytes())
        except OSError as error:
            folder = tempfile.gettempdir()
            raise OutputError(f"cannot keep thumbnails in {folder}: {error.strerror}", remedy="set TMPDIR") from error
        self._count += 1
        return self._count - 1

    def write_sheets(self, order: Sequence[int | None], folder: Path) -> list[str]:
        """Write JPEG sheets of `ACROSS` x `ACROSS` thumbnails.

        Args:
            order: numbers of thumbnails, row by row; None leaves a place empty.
            folder: of the sheets.

        Returns:
            Their names.

        Raises:
            OutputError: the folder cannot be written.
        """
        self._file.flush()
        names = []
        for begin in range(0, len(order), ACROSS**2):
            here = order[begin : begin + ACROSS**2]
            sheet = np.full((-(-len(here) // ACROSS) * SIDE, min(len(here), ACROSS) * SIDE, 3), 128, np.uint8)
            for place, number in enumerate(here):
                if number is not None:
                    top, left = (SIDE * part for part in divmod(place, ACROSS))
                    sheet[top : top + SIDE, left : left + SIDE] = self._read(number)
            encoded = io.BytesIO()
            PIL.Image.fromarray(sheet).save(encoded, "JPEG", quality=82, optimize=True, comment=MARK)
            names.append(f"sheet-{hashlib.sha256(encoded.getvalue()).hexdigest()[:12]}{ANNOTATED_SUFFIX}")
            with atomic_file(folder / names[-1]) as temporary:
                temporary.write_bytes(encoded.getvalue())
        return names

    def _read(self, number: int) -> Image:
        size = SIDE * SIDE * 3
        self._file.seek(number * size)
        return np.frombuffer(self._file.read(size), np.uint8).reshape(SIDE, SIDE, 3)


def remove_sheets(folder: Path, keep: Sequence[str]) -> None:
    """Remove the sheets of earlier reports."""
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path.name not in keep and is_made(str(path)):
            path.unlink(missing_ok=True)
