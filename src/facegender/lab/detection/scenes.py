"""Training scenes: photos scaled, turned, cut, put together and spoiled, so that faces of every size come up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError
from facegender.faces.anchors import VALUES, FaceRows
from facegender.faces.types import Image
from facegender.lab import effects
from facegender.lab.detection.graphics import draw_graphics
from facegender.lab.detection.photos import LabelledPhoto
from facegender.lab.detection.recipe import SceneSettings
from facegender.lab.detection.teacher import mirror

Random: TypeAlias = np.random.Generator

#: Share of a face that must lie in the scene to be learned.
_VISIBLE = 0.6
_NONE = np.zeros((0, VALUES), np.float32)
#: Photos are enlarged at most this much: what is stretched further shows only its own blur.
_LARGEST_SCALE = 3.0


@dataclass(frozen=True)
class Scene:
    """One training image.

    Attributes:
        image: uint8, S x S x 3, RGB.
        faces: float32, N x 15, to be found.
        unsure: float32, M x 15, neither face nor background.
    """

    image: Image
    faces: FaceRows
    unsure: FaceRows


class SceneMaker:
    """Puts scenes together; each source of photos has the same share.

    Args:
        settings: sizes and how often each change happens.

    Raises:
        DatasetError: no photo has a face.
    """

    def __init__(self, photos: Sequence[LabelledPhoto], settings: SceneSettings) -> None:
        self._settings = settings
        sources: dict[str, list[LabelledPhoto]] = {}
        for photo in photos:
            sources.setdefault(photo.source, []).append(photo)
        self._sources = list(sources.values())
        self._empty = [photo for photo in photos if not len(photo.faces) and not len(photo.unsure)]
        if not any(len(photo.faces) for photo in photos):
            raise DatasetError(
                f"the teacher found no face in any of {len(photos)} photos", remedy="training and validation need faces"
            )

    def scene(self, random: Random) -> Scene:
        """One scene; the generator alone decides which."""
        size = self._settings.canvas
        # One photo, or a mosaic of 2 x 2 to 4 x 4 of them, which makes small faces and many.
        columns = int(random.choice((1, 2, 3, 4), p=(0.5, 0.25, 0.15, 0.1)))
        edges = np.linspace(0, size, columns + 1).round().astype(int)
        image: Image = np.empty((size, size, 3), np.uint8)
        faces, unsure = [], []
        for top, bottom in pairwise(edges):
            for left, right in pairwise(edges):
                part = self._part(random, int(right - left), int(bottom - top))
                image[top:bottom, left:right] = part.image
                faces.append(_shifted(part.faces, left, top))
                unsure.append(_shifted(part.unsure, left, top))
        scene = Scene(image, np.concatenate(faces), np.concatenate(unsure))
        self._occlude(random, scene)
        if random.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            scene = Scene(image, mirror(scene.faces, size), mirror(scene.unsure, size))
        return Scene(self._spoil(random, scene.image), scene.faces, scene.unsure)

    def _part(self, random: Random, width: int, height: int) -> Scene:
        """One photo in a rectangle, placed by one of its faces."""
        settings = self._settings
        if random.random() < settings.graphics:
            return Scene(draw_graphics(random, width, height), _NONE, _NONE)
        photos = self._sources[random.integers(len(self._sources))]
        photo = photos[random.integers(len(photos))]
        photo_height, photo_width = photo.image.shape[:2]
        anchor = np.array([photo_width / 2, photo_height / 2])
        scale = random.uniform(0.6, 1.6) * max(width / photo_width, height / photo_height)
        if len(photo.faces):
            face = photo.faces[random.integers(len(photo.faces))]
            side = float(np.sqrt(face[2] * face[3]))
            anchor = face[:2] + face[2:4] / 2
            largest = max(settings.smallest_face, min(settings.largest_face, 0.95 * min(width, height)))
            scale = np.exp(random.uniform(np.log(settings.smallest_face), np.log(largest))) / side
        if width >= 200 and random.random() < settings.as_it_is:
            scale = random.uniform(0.8, 1.25)
        scale = float(np.clip(scale, 0.03, _LARGEST_SCALE))
        angle = np.deg2rad(self._angle(random))
        place = np.array([width, height]) * random.uniform(0.08, 0.92, 2)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        if random.random() < settings.squeezed:
            ratio = np.exp(random.uniform(-0.3, 0.3))
            turn = np.diag([ratio, 1 / ratio]) @ turn
        matrix = np.column_stack([turn, place - turn @ anchor])
        image = _paste(photo.image, matrix, scale, self._background(random, width, height))
        faces = _moved(photo.faces, matrix)
        unsure = _moved(photo.unsure, matrix)
        seen = _visible(faces, width, height)
        sure = (seen >= _VISIBLE) & (np.sqrt(faces[:, 2] * faces[:, 3]) >= 0.9 * settings.smallest_face)
        unsure = np.concatenate([unsure[_visible(unsure, width, height) > 0.05], faces[~sure & (seen > 0.05)]])
        return Scene(image, faces[sure], unsure)

    def _angle(self, random: Random) -> float:
        """By how many degrees a photo is turned."""
        settings, draw = self._settings, random.random()
        if draw < settings.any_way:
            return float(random.uniform(-180, 180))
        if draw < settings.any_way + settings.tilted:
            return float(random.uniform(-60, 60))
        return float(random.normal(0, settings.rotate))

    def _background(self, random: Random, width: int, height: int) -> Image:
        """What shows beside a photo: another one without faces, or plain colour."""
        if self._empty and random.random() < 0.6:
            image = self._empty[random.integers(len(self._empty))].image
            rows, columns = image.shape[:2]
            part = min(rows / height, columns / width) * random.uniform(0.4, 1.0)
            high, wide = max(1, int(height * part)), max(1, int(width * part))
            top, left = random.integers(rows - high + 1), random.integers(columns - wide + 1)
            out: Image = cv2.resize(image[top : top + high, left : left + wide], (width, height))
            return out
        return np.full((height, width, 3), random.integers(0, 256, 3 if random.random() < 0.5 else 1), np.uint8)

    def _occlude(self, random: Random, scene: Scene) -> None:
        """Cover a part of some faces, with plain colour or with a piece of the scene."""
        size = scene.image.shape[0]
        for x, y, width, height in scene.faces[:, :4]:
            if random.random() >= self._settings.occlude:
                continue
            wide, high = (np.array([width, height]) * random.uniform(0.2, 0.55, 2)).astype(int)
            left, top = (
                np.array([x + width * random.random(), y + height * random.random()]) - (wide / 2, high / 2)
            ).astype(int)
            left, top = max(left, 0), max(top, 0)
            patch = scene.image[top : top + high, left : left + wide]
            if patch.size:
                from_x, from_y = random.integers(size - patch.shape[1] + 1), random.integers(size - patch.shape[0] + 1)
                piece = scene.image[from_y : from_y + patch.shape[0], from_x : from_x + patch.shape[1]].copy()
                patch[:] = piece if random.random() < 0.5 else random.integers(0, 256, 3)

    def _spoil(self, random: Random, image: Image) -> Image:
        """Light, colour, blur, noise and JPEG."""
        settings = self._settings
        gain, lift = random.uniform(0.7, 1.3), random.uniform(-25, 25)
        if random.random() < settings.dark:
            gain, lift = random.uniform(0.12, 0.6), random.uniform(-10, 10)
        tint = 1 + random.uniform(-0.12, 0.12, 3)
        level = np.arange(256, dtype=np.float32)[:, None]
        gamma = np.exp(random.uniform(-0.35, 0.35))
        table = 255 * (level / 255) ** gamma * gain * tint + lift
        image = cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None])
        if random.random() < settings.gray:
            image = effects.gray(image)
        if random.random() < settings.blur:
            if random.random() < 0.7:
                image = effects.blurred(image, random.uniform(0.4, 2.2))
            else:
                length = int(random.integers(3, 8))
                kernel = np.zeros((length, length), np.float32)
                kernel[length // 2] = 1 / length
                image = cv2.filter2D(image, -1, kernel if random.random() < 0.5 else kernel.T)
        if random.random() < settings.noise:
            strength = random.uniform(2, 24)
            grain = np.empty(image.shape, np.int16)
            cv2.setRNGSeed(int(random.integers(2**31)))
            cv2.randn(grain, (0, 0, 0), (strength,) * 3)
            image = cv2.add(image, grain, dtype=cv2.CV_8U)
        if random.random() < settings.jpeg:
            image = effects.compressed(image, int(random.integers(15, 85)))
        return image


def _paste(photo: Image, matrix: npt.NDArray[np.float64], scale: float, background: Image) -> Image:
    height, width = background.shape[:2]
    # Averaging first, as bilinear sampling alone would alias; two by two is the fast way.
    while scale < 0.5 and min(photo.shape[:2]) > 1:
        rows, columns = (side // 2 * 2 for side in photo.shape[:2])
        photo = cv2.resize(photo[:rows, :columns], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
        matrix, scale = np.column_stack([2 * matrix[:, :2], matrix[:, 2]]), 2 * scale
    # OpenCV counts from pixel centres, half a pixel inside our corner.
    centred = np.column_stack([matrix[:, :2], matrix @ (0.5, 0.5, 1) - 0.5])
    out: Image = cv2.warpAffine(
        photo, centred, (width, height), dst=background, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
    return out


def _moved(faces: FaceRows, matrix: npt.NDArray[np.float64]) -> FaceRows:
    out = faces.copy()
    points = np.column_stack([faces[:, :2] + faces[:, 2:4] / 2, faces[:, 4:14]]).reshape(len(faces), 6, 2)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    # A turned box is the turned ellipse's: a head on its side is as wide as it was high, and no larger in between.
    out[:, 2:4] = np.sqrt(faces[:, 2:4] ** 2 @ (matrix[:, :2] ** 2).T)
    out[:, :2] = points[:, 0] - out[:, 2:4] / 2
    out[:, 4:14] = points[:, 1:].reshape(len(faces), 10)
    return out.reshape(-1, VALUES)


def _shifted(faces: FaceRows, x: int, y: int) -> FaceRows:
    return faces + np.array([x, y, 0, 0, *(x, y) * 5, 0], np.float32)


def _visible(faces: FaceRows, width: int, height: int) -> npt.NDArray[np.float32]:
    """Share of each box that lies in the rectangle: float32, N."""
    low = np.clip(faces[:, :2], 0, (width, height))
    high = np.clip(faces[:, :2] + faces[:, 2:4], 0, (width, height))
    share: npt.NDArray[np.float32] = (high - low).prod(1) / np.maximum(faces[:, 2:4].prod(1), 1e-6)
    return share
