"""One photo as the images a detector looks at: at the sizes that its faces need, in pieces that fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from facegender.faces.anchors import FaceRows
from facegender.faces.types import Image, Picture

#: Each level of a pyramid is this much smaller than the one before; a detector finds faces over a wider range.
STEP = 4
#: A level whose longest side is at most this needs no smaller one: no face in it is too large.
LAST_LEVEL = 256
#: Larger levels are cut in tiles of about this side.
TILE = 1280
#: What a tile has beyond its own part on every side: faces of up to 192 pixels are whole in the tile that answers
#: for them, and from 64 pixels on the next level finds them too.
MARGIN = 128
#: How far a tile answers for its neighbour's part: two tiles may see one face's centre a little apart.
SHARED = 32


@dataclass(frozen=True)
class Tile:
    """A piece of one level of one photo.

    Attributes:
        picture: number of the photo.
        image: uint8, H x W x 3, RGB.
        corner: x and y of its first pixel's corner in the full photo.
        zoom: x and y, pixels of the full photo per pixel of the image.
        core: left, top, right, bottom in the full photo: the tile answers for the faces with their centre within.
            The cores of a level cover the photo and share a seam.
        turns: how many quarter turns, against the clock, the image has been given. The rest is as it was before.
    """

    picture: int
    image: Image
    corner: tuple[float, float]
    zoom: tuple[float, float]
    core: tuple[float, float, float, float]
    turns: int = 0

    def turned(self, turns: int) -> Tile:
        """The same tile with its image turned by this number of further quarter turns, counterclockwise."""
        image = np.ascontiguousarray(np.rot90(self.image, turns))
        return replace(self, image=image, turns=(self.turns + turns) % 4)

    def to_photo(self, rows: FaceRows) -> FaceRows:
        """The tile's own faces, in pixels of the full photo."""
        if not len(rows):
            return rows
        faces = _turned_back(rows, self.turns, *self.image.shape[:2])
        faces[:, :14] *= np.array(self.zoom * 7, np.float32)
        faces[:, :2] += self.corner
        faces[:, 4:14] += np.array(self.corner * 5, np.float32)
        centres = faces[:, :2] + faces[:, 2:4] / 2
        left, top, right, bottom = self.core
        own = (centres >= (left, top)).all(1) & (centres < (right, bottom)).all(1)
        return faces[own]


def _turned_back(rows: FaceRows, turns: int, height: int, width: int) -> FaceRows:
    """Faces found in an image of this size, where they were before these quarter turns."""
    faces = rows.copy()
    for _ in range(turns):
        before = faces.copy()
        x, y, across, down = before[:, :4].T
        faces[:, :4] = np.stack([height - y - down, x, down, across], axis=1)
        faces[:, 4:14:2], faces[:, 5:14:2] = height - before[:, 5:14:2], before[:, 4:14:2]
        height, width = width, height
    return faces


def tiles(number: int, picture: Picture, scale: float) -> Iterator[Tile]:
    """All tiles of all levels of a photo.

    Args:
        scale: of its largest level, in pixels per pixel of the full photo.
    """
    pixels, whole = picture.pixels, None
    across, down = picture.scale, picture.scale_y
    while True:
        width, height = (max(1, round(side * scale)) for side in (picture.width, picture.height))
        for y in _spans(pixels.shape[0], height):
            for x in _spans(pixels.shape[1], width):
                # From the level before where that is whole: a quarter of a side is shrunk much faster than an odd part.
                part = pixels[y.begin : y.end, x.begin : x.end] if whole is None else whole
                image = resized(part, x.length, y.length)
                yield Tile(
                    number,
                    image,
                    corner=(x.begin / across, y.begin / down),
                    zoom=((x.end - x.begin) / x.length / across, (y.end - y.begin) / y.length / down),
                    core=(x.core_begin / across, y.core_begin / down, x.core_end / across, y.core_end / down),
                )
        if max(width, height) <= LAST_LEVEL:
            return
        whole = image if max(width, height) <= TILE else None
        scale /= STEP


@dataclass(frozen=True)
class _Span:
    """A tile along one side of a photo, in decoded pixels; ``length`` in pixels of its level."""

    begin: int
    end: int
    length: int
    core_begin: float
    core_end: float


def _spans(side: int, level: int) -> list[_Span]:
    """The tiles along a side of this length, in decoded pixels, scaled to the pixels of a level."""
    if level <= TILE:
        return [_Span(0, side, level, 0.0, side)]
    # Cut before it is resized: an enlarged photo is never there as a whole.
    zoom = side / level
    count = math.ceil(level / (TILE - 2 * MARGIN))
    own = level / count
    spans = []
    for start, stop in ((i * own, (i + 1) * own) for i in range(count)):
        begin = max(0, math.floor((start - MARGIN) * zoom))
        end = min(side, math.ceil((stop + MARGIN) * zoom))
        core = max(0.0, (start - SHARED) * zoom), min(float(side), (stop + SHARED) * zoom)
        spans.append(_Span(begin, end, max(1, round((end - begin) / zoom)), *core))
    return spans


def resized(image: Image, width: int, height: int) -> Image:
    """The image at another size, averaged where it shrinks: uint8, height x width x 3."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = width < image.shape[1]
    out: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return out
