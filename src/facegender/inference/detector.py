"""Where the faces are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np

from facegender.errors import InputError, WeightsError
from facegender.faces.anchors import MULTIPLE, FaceRows, decode_faces
from facegender.faces.merging import each_once, merged, with_turned
from facegender.faces.pyramid import Tile, tiles
from facegender.faces.types import Face, Image, Picture
from facegender.inference.runtime import Session
from facegender.weights import detector_path, load_detector_card

#: Unless a smallest face is asked for, larger photos are shrunk to this many pixels on their longest side.
LONGEST_SIDE = 1280
#: Of a photo that is longer than this many times its shorter side, a part of that shape is taken for the photo: it is
#: searched at the scale of the part by itself, in tiles.
LONG = 4
#: Its longest side is then shrunk to this number of pixels at most.
LONGEST_STRIP = 16 * LONGEST_SIDE
#: Unless a smallest face is asked for, smaller photos are enlarged this much: small faces are found better so, and a
#: small photo still takes milliseconds (results/accuracy/detector.csv).
USUAL_SCALE = 1.5
#: Photos that are smaller than this once they are enlarged may be filled up: it costs little there.
FILLED_UP_TO = 256
#: Photos are enlarged at most this much: beyond, faces have nothing to be found by.
LARGEST_SCALE = 2.0

#: Which ways up faces are looked for: the photo's own; the other three too where a photo has no face of `CONFIDENT`; or
#: all four in every photo.
Orientations: TypeAlias = Literal["upright", "auto", "all"]
#: Few faces that are upside down or on their side reach this score, and most upright faces do
#: (results/robustness/turned.csv).
CONFIDENT = 0.85
#: A turned photo is first searched with its longest side shrunk to this, and no larger than faces of `FIRST_FACE`
#: pixels need (smaller ones have a low quality); then in full in the ways up in which that finds a face. Three full
#: searches of each photo without a face would take most of the time of a collection.
FIRST_LOOK, FIRST_FACE = 640, 24
#: Images go through the network together up to this many pixels: with more, its features leave the cache, and each
#: image takes longer.
_BATCH_PIXELS = 300_000
_BATCH_IMAGES = 16


class FaceDetector(Protocol):
    """Anything that finds faces in photos."""

    def detect(self, pictures: Sequence[Picture]) -> list[list[Face]]:
        """Find the faces of each photo, largest first, in pixels of the full photo."""
        ...

    def scale(self, width: int, height: int) -> float:
        """The scale at which a photo of this size is searched, in pixels per pixel; more need not be decoded."""
        ...


@dataclass(frozen=True)
class _Search:
    """How one photo is searched.

    Attributes:
        scale: of the largest level, in pixels per pixel of the full photo.
        turns: numbers of quarter turns, counterclockwise; the photo is searched after each of them.
    """

    picture: Picture
    scale: float
    turns: tuple[int, ...] = (0,)

    def shrunk(self, scale: float) -> _Search:
        """The same at this scale at most, and with the photo, or a part of a long one, at most `FIRST_LOOK` long."""
        part = _part(self.picture.width, self.picture.height)
        return replace(self, scale=min(self.scale, scale, FIRST_LOOK / part))


class PyramidDetector(ABC):
    """What any network needs that finds faces of a limited range of sizes: scale, pyramid, tiles, merging.

    Args:
        reliable: side in pixels from which the network finds faces reliably.
        min_face: side in pixels of the photo of the smallest face to be found. None: the photo is enlarged to
            `USUAL_SCALE` or a little less, but to no more than `LONGEST_SIDE`, and shrunk to that if it is larger; of
            photos longer than `LONG` times their shorter side, a part of that shape.
        min_score: faces scored below it are dropped.
        orientations: which ways up faces are looked for.
        any_way_up: whether the network finds faces in every way up by itself, and `orientations` makes no difference.

    Raises:
        InputError: a number out of range, or no such orientations.
    """

    def __init__(
        self,
        reliable: float,
        min_face: int | None,
        min_score: float,
        orientations: Orientations = "upright",
        *,
        any_way_up: bool = False,
    ) -> None:
        if min_face is not None and min_face < 1:
            raise InputError(f"the smallest face must be at least 1 pixel, not {min_face}")
        if not 0 < min_score <= 1:
            raise InputError(f"the least score must lie in (0, 1], not {min_score}")
        if orientations not in get_args(Orientations):
            raise InputError(f"orientations are {', '.join(get_args(Orientations))}, not {orientations}")
        self.reliable, self.min_face, self.min_score = reliable, min_face, min_score
        self.orientations, self.any_way_up = orientations, any_way_up

    def detect(self, pictures: Sequence[Picture], scale: float | None = None) -> list[list[Face]]:
        """Find the faces of each photo, largest first, in pixels of the full photo.

        Args:
            scale: at which they are searched, in pixels per pixel of the full photo; None: as `scale` says.
        """
        searches = [_Search(picture, scale or self.scale(picture.width, picture.height)) for picture in pictures]
        if self.any_way_up:
            found = self._search(searches)
            return [[replace(face, turned=round(face.roll / 90) * 90 % 360) for face in faces] for faces in found]
        if self.orientations == "all":
            return self._search([replace(search, turns=(0, 1, 2, 3)) for search in searches])
        found = self._search(searches)
        if self.orientations == "auto":
            unsure = [number for number, faces in enumerate(found) if all(face.score < CONFIDENT for face in faces)]
            self._search_turned(found, {number: replace(searches[number], turns=(1, 2, 3)) for number in unsure})
        return found

    def _search_turned(self, found: list[list[Face]], searches: dict[int, _Search]) -> None:
        """Search photos in other ways up too, by their number in `found`, to which the faces that count are added."""
        first = searches
        if self.min_face is None:
            first = {number: search.shrunk(self.reliable / FIRST_FACE) for number, search in searches.items()}
        again = {}
        for (number, search), turned in zip(first.items(), self._search(list(first.values())), strict=True):
            faces = with_turned(found[number], turned)
            ways = {face.turned // 90 for face in faces} - {0}
            if search.scale == searches[number].scale:
                found[number] = faces
            elif ways:
                again[number] = replace(searches[number], turns=tuple(sorted(ways)))
        for number, turned in zip(again, self._search(list(again.values())), strict=True):
            found[number] = with_turned(found[number], turned)

    def _search(self, searches: Sequence[_Search]) -> list[list[Face]]:
        """The faces that each search finds, each once."""
        found: list[dict[int, list[FaceRows]]] = [{} for _ in searches]
        every = (
            tile.turned(turn)
            for number, search in enumerate(searches)
            for tile in tiles(number, search.picture, search.scale)
            for turn in search.turns
        )
        for batch in _batches(every):
            for tile, rows in zip(batch, self.detect_rows([tile.image for tile in batch]), strict=True):
                found[tile.picture].setdefault(tile.turns, []).append(tile.to_photo(rows))
        return [
            each_once([face for turn, rows in ways.items() for face in merged(np.concatenate(rows), 90 * turn)])
            for ways in found
        ]

    def scale(self, width: int, height: int) -> float:
        """The scale at which a photo of this size is searched, in pixels per pixel of the full photo.

        The smallest face that is found reliably has `reliable` pixels a side after it.
        """
        if self.min_face is None:
            longest, part = max(width, height), _part(width, height)
            side = min(USUAL_SCALE * part, LONGEST_SIDE)
            # The network would fill it up to a multiple of its own, and the filling costs as much as the photo.
            return min((side if side < FILLED_UP_TO else side // MULTIPLE * MULTIPLE) / part, LONGEST_STRIP / longest)
        return min(self.reliable / self.min_face, LARGEST_SCALE)

    @abstractmethod
    def detect_rows(self, images: Sequence[Image]) -> list[FaceRows]:
        """What the network finds in images as they are, `min_score` and above; one face may come several times.

        Args:
            images: uint8, H x W x 3, RGB, all of sizes that `padded` takes to the same.
        """


class OnnxDetector(PyramidDetector):
    """The detector in the package, or another that speaks the same way (`facegender.faces.anchors`).

    Args:
        model: an ``.onnx`` file with its card beside it; None takes the package's.
        min_face, min_score, orientations: as for `PyramidDetector`; None takes the card's score.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        WeightsError: a file that is no such detector, or not what its card says.
        InputError: no such device, or a number out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        min_face: int | None = None,
        min_score: float | None = None,
        orientations: Orientations = "upright",
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.card = load_detector_card(model)
        least = self.card.min_score if min_score is None else min_score
        super().__init__(self.card.smallest_face, min_face, least, orientations, any_way_up=self.card.any_way_up)
        path = detector_path(model)
        self._path, self._session = path, Session(path, device, threads)
        kind, shape, outputs = self._session.signature
        any_size = len(shape) == 4 and shape[3] == 3 and not any(isinstance(side, int) for side in shape[:3])
        if kind != "tensor(uint8)" or not any_size or outputs != 1:
            raise WeightsError(
                f"{path} takes {kind} {shape} and gives {outputs} outputs: no detector of uint8 N x H x W x 3 images"
            )

    @property
    def identity(self) -> dict[str, str]:
        """Its name and sha256, to be written beside results."""
        return {"name": self.card.name, "sha256": self.card.sha256}

    def detect_rows(self, images: Sequence[Image]) -> list[FaceRows]:
        """What the network finds in images of one padded size; WeightsError where its answer makes no sense."""
        width, height = padded(images[0])
        batch = np.empty((len(images), height, width, 3), np.uint8)
        for place, image in zip(batch, images, strict=True):
            rows, columns = image.shape[:2]
            place[:rows, :columns], place[rows:], place[:rows, columns:] = image, 0, 0
        try:
            return [decode_faces(cells, height, width, self.min_score) for cells in self._session.run(batch)]
        except ValueError as error:
            raise WeightsError(f"{self._path} gives no faces but {error}") from error


def _part(width: int, height: int) -> int:
    """The longest side of a photo, or of the part of a long one that is taken for a photo."""
    return min(max(width, height), LONG * min(width, height))


def padded(image: Image) -> tuple[int, int]:
    """Width and height of an image once it is filled up for the network."""
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in image.shape[:2])
    return width, height


def _batches(every: Iterator[Tile]) -> Iterator[list[Tile]]:
    """Tiles of one padded size together, as many as there should be at once."""
    waiting: dict[tuple[int, int], list[Tile]] = {}
    for tile in every:
        size = padded(tile.image)
        batch = waiting.setdefault(size, [])
        batch.append(tile)
        if len(batch) == _BATCH_IMAGES or (len(batch) + 1) * size[0] * size[1] > _BATCH_PIXELS:
            yield waiting.pop(size)
    yield from waiting.values()
