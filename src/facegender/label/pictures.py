"""The picture of a face, large, and of its photo, as JPEG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegender.errors import InputError, PhotoReadError
from facegender.faces.decode import decode
from facegender.faces.types import Image
from facegender.formats.records import printable, unprinted
from facegender.sources.photos import find_photos
from facegender.sources.source import Source, read
from facegender.survey.metadata import matched_paths

#: Around the box, as a share of its larger side.
_MARGIN = 0.35
#: Pixels of the longer side of either picture, at most.
_FACE_SIDE, _PHOTO_SIDE = 720, 1600
#: A small face is enlarged to this, smoothly.
_LEAST = 360
_LINE = (255, 255, 255)


@dataclass(frozen=True)
class Pictures:
    """Where the photos of a collection are.

    Attributes:
        sources: the name of each photo in the results to where it is.
    """

    sources: dict[str, Source]

    @classmethod
    def find(cls, names: Iterable[str], results: Sequence[Path], given: Sequence[str]) -> Pictures:
        """Find the photos that results name.

        Args:
            given: photos, folders or archives as `facegender predict` took them; empty: the names are paths, from
                here or from the folder of the results.

        Raises:
            InputError: none of the photos is there, or nothing is where `given` says.
        """
        names = list(dict.fromkeys(names))
        if given:
            found = {printable(source.name): source for source in find_photos(given, recursive=True)}
            matched = matched_paths(names, list(found))
            there = {name: found[path] for name, path in zip(names, matched, strict=True) if path is not None}
        else:
            folders = [Path(), *dict.fromkeys(path.parent for path in results)]
            places = {name: [folder / unprinted(name) for folder in folders] for name in names}
            paths = {name: next((path for path in some if path.is_file()), None) for name, some in places.items()}
            there = {name: Source.file(name, str(path)) for name, path in paths.items() if path is not None}
        if not there:
            raise InputError(
                f"the photos are not where the results say: {names[0]}",
                remedy="pass --photos with the folder or archive that facegender predict was given",
            )
        return cls(there)

    def face(self, photo: str, box: tuple[float, float, float, float]) -> bytes:
        """The face with some of what is around it, as a JPEG file; PhotoReadError where there is none."""
        image = self._image(photo)
        x, y, width, height = box
        side = (1 + 2 * _MARGIN) * max(width, height)
        left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
        rows, columns = image.shape[:2]
        x0, x1 = max(0, int(left)), min(columns, int(np.ceil(left + side)))
        y0, y1 = max(0, int(top)), min(rows, int(np.ceil(top + side)))
        if x1 <= x0 or y1 <= y0:
            raise PhotoReadError(f"{photo} is smaller than the results say")
        return _jpeg(_fitted(image[y0:y1, x0:x1], _LEAST, _FACE_SIDE)[0])

    def photo(self, photo: str, box: tuple[float, float, float, float]) -> bytes:
        """The whole photo with a line around the face, as a JPEG file; PhotoReadError where there is none."""
        image, scale = _fitted(self._image(photo), 0, _PHOTO_SIDE)
        image = np.ascontiguousarray(image)
        x, y, width, height = (round(value * scale) for value in box)
        for colour, thick in (((0, 0, 0), 5), (_LINE, 2)):
            cv2.rectangle(image, (x, y), (x + width, y + height), colour, thick)
        return _jpeg(image)

    def _image(self, photo: str) -> Image:
        if photo not in self.sources:
            raise PhotoReadError(f"{photo} is not where the results say")
        return decode(read(self.sources[photo]))


def _fitted(image: Image, least: int, most: int) -> tuple[Image, float]:
    """The image with its longer side brought between two numbers of pixels, and its scale."""
    longest = max(image.shape[:2])
    scale = min(most / longest, max(1.0, least / longest))
    if scale == 1:
        return image, scale
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8), scale


def _jpeg(image: Image) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return data.tobytes()
