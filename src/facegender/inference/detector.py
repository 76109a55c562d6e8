"""Where the faces are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, get_args

import cv2
import numpy as np

from facegender.errors import InputError, WeightsError
from facegender.faces.anchors import MULTIPLE, FaceRows, decode_faces, overlaps
from facegender.faces.pose import Landmarks
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

#: Of two boxes that overlap more (intersection over union), the one with the lower score goes.
SAME_FACE = 0.4
#: The places of boxes that overlap at least this much are averaged.
BLENDED = 0.5
#: Landmarks are rounded to this fraction of a pixel. The last bits of the network's arithmetic differ from one
#: processor and runtime to the next; unrounded, they would change pixels of the crop, and so the classifier's answer.
PARTS_OF_PIXEL = 32
#: Which ways up faces are looked for: the photo's own; the other three too where a photo has no face of `CONFIDENT`; or
#: all four in every photo.
Orientations: TypeAlias = Literal["upright", "auto", "all"]
#: Few faces that are upside down or on their side reach this score, and most upright faces do
#: (results/robustness/turned.csv).
CONFIDENT = 0.85
#: Faces that are found only after a photo is turned count from this score on, unless they replace a less sure one.
TURNED = 0.8
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
        if self.any_way_up:
            found = self._search(pictures, scale, (0,))
            return [[replace(face, turned=round(face.roll / 90) * 90 % 360) for face in faces] for faces in found]
        if self.orientations == "all":
            return self._search(pictures, scale, (0, 1, 2, 3))
        found = self._search(pictures, scale, (0,))
        if self.orientations == "auto":
            unsure = [number for number, faces in enumerate(found) if all(face.score < CONFIDENT for face in faces)]
            turned = self._search([pictures[number] for number in unsure], scale, (1, 2, 3))
            for number, more in zip(unsure, turned, strict=True):
                found[number] = _with_turned(found[number], more)
        return found

    def _search(self, pictures: Sequence[Picture], scale: float | None, turns: Iterable[int]) -> list[list[Face]]:
        """The faces of each photo, each once, found after any of these quarter turns against the clock."""
        found: list[dict[int, list[FaceRows]]] = [{} for _ in pictures]
        every = (
            tile.turned(turn)
            for number, picture in enumerate(pictures)
            for tile in tiles(number, picture, scale or self.scale(picture.width, picture.height))
            for turn in turns
        )
        for batch in _batches(every):
            for tile, rows in zip(batch, self.look([tile.image for tile in batch]), strict=True):
                found[tile.picture].setdefault(tile.turns, []).append(tile.to_photo(rows))
        return [
            _each_once([face for turn, rows in ways.items() for face in _faces(np.concatenate(rows), 90 * turn)])
            for ways in found
        ]

    def scale(self, width: int, height: int) -> float:
        """The scale at which a photo of this size is searched, in pixels per pixel of the full photo.

        The smallest face that is found reliably has `reliable` pixels a side after it.
        """
        if self.min_face is None:
            longest = max(width, height)
            part = min(longest, LONG * min(width, height))
            side = min(USUAL_SCALE * part, LONGEST_SIDE)
            # The network would fill it up to a multiple of its own, and the filling costs as much as the photo.
            return min((side if side < FILLED_UP_TO else side // MULTIPLE * MULTIPLE) / part, LONGEST_STRIP / longest)
        return min(self.reliable / self.min_face, LARGEST_SCALE)

    @abstractmethod
    def look(self, images: Sequence[Image]) -> list[FaceRows]:
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

    def look(self, images: Sequence[Image]) -> list[FaceRows]:
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


def _faces(rows: FaceRows, turned: int) -> list[Face]:
    """Each face once, of those found in one way up, in degrees clockwise."""
    if not len(rows):
        return []
    points = rows[:, 4:14].reshape(-1, 5, 2)
    # A crop cannot be cut where the landmarks are all one point.
    sound = np.isfinite(rows).all(1) & (rows[:, 2:4] > 0).all(1) & (np.ptp(points, axis=1) > 0).any(1)
    rows = rows[sound]
    # The least score has been passed already.
    indices = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), 0.0, SAME_FACE)
    return [
        Face((x, y, width, height), _points(places), min(max(score, 0.0), 1.0), turned)
        for x, y, width, height, *places, score in (_blended(rows[index], rows).tolist() for index in indices)
    ]


def _with_turned(upright: Sequence[Face], turned: Sequence[Face]) -> list[Face]:
    """All faces of a photo, of those found upright and those found after it was turned."""
    boxes = np.array([face.box for face in upright], np.float32).reshape(-1, 4)

    def counts(face: Face) -> bool:
        return face.score >= TURNED or bool((overlaps(np.array(face.box, np.float32), boxes) > SAME_FACE).any())

    return _each_once([*upright, *filter(counts, turned)])


def _each_once(faces: Sequence[Face]) -> list[Face]:
    """Of faces found in several ways up, each in the one where its score is highest; largest first."""
    unique: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        boxes = np.array([other.box for other in unique if other.turned != face.turned], np.float32).reshape(-1, 4)
        if not (overlaps(np.array(face.box, np.float32), boxes) > SAME_FACE).any():
            unique.append(face)
    return sorted(unique, key=lambda face: (face.box[2] * face.box[3], face.score), reverse=True)


def _blended(row: FaceRows, rows: FaceRows) -> FaceRows:
    """A row with place and landmarks averaged over all detections of the same face; steadier than any one of them.

    V. Bazarevsky et al., "BlazeFace", arXiv:1907.05047, 2019, section 3.4.
    """
    same = rows[overlaps(row[:4], rows[:, :4]) >= BLENDED]
    weights = same[:, 14:] ** 2
    places = (same[:, :14] * weights).sum(0) / weights.sum()
    places[4:] = np.rint(places[4:] * PARTS_OF_PIXEL) / PARTS_OF_PIXEL
    return np.append(places, row[14])


def _points(values: list[float]) -> Landmarks:
    one, two, three, four, five = zip(values[::2], values[1::2], strict=True)
    return one, two, three, four, five
