"""Painted faces whose places can be read from the pixels, and a teacher that reads them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facegender.faces.types import Image
from facegender.lab.detection.export import detector_onnx
from facegender.lab.detection.photos import LabelledPhoto, split_of
from facegender.lab.detection.teacher import Labels
from facegender.lab.networks.face_detector import FaceDetectorNetwork

#: The landmarks' colours; a face is white. Every channel is on or off, so that a change of light does not hide them.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (255, 255, 0))
#: Landmarks from a face's centre in its sides; no two are alike, and all within a turned face.
PLACES = ((-0.25, -0.2), (0.2, -0.25), (0.03, 0.05), (-0.2, 0.25), (0.15, 0.3))
#: Radius of a landmark's dot in the face's sides.
DOT = 0.09


def _paint(width: int, height: int, *faces: tuple[float, float, float]) -> tuple[Image, np.ndarray]:
    """A black photo with square white faces, each given by its centre and side, and their rows (score 0.9)."""
    image = np.zeros((height, width, 3), np.uint8)
    down, right = np.mgrid[0:height, 0:width] + 0.5
    rows = []
    for x, y, side in faces:
        image[np.maximum(abs(right - x), abs(down - y)) < side / 2] = 255
        points = [(x + a * side, y + b * side) for a, b in PLACES]
        for point, colour in zip(points, COLOURS, strict=True):
            image[np.hypot(right - point[0], down - point[1]) < DOT * side] = colour
        rows.append([x - side / 2, y - side / 2, side, side, *np.ravel(points), 0.9])
    return image, np.array(rows, np.float32).reshape(-1, 15)


class PaintedTeacher:
    """Knows the painted face of a photo by the side of its white box; counts what it looks at."""

    def __init__(self) -> None:
        self.labelled = 0

    def detect_rows(self, image):
        light = (image.max(2) > 128).nonzero()
        if not len(light[0]):
            return np.zeros((0, 15), np.float32)
        (top, left), (bottom, right) = (np.min(light, axis=1), np.max(light, axis=1) + 1)
        return _paint(8, 8, ((left + right) / 2, (top + bottom) / 2, right - left))[1]

    def label(self, image, annotated=None):
        self.labelled += 1
        return Labels(self.detect_rows(image), np.zeros((0, 15), np.float32))


@pytest.fixture(scope="session")
def paint() -> Callable[..., tuple[Image, np.ndarray]]:
    """Paint faces: ``paint(width, height, (x, y, side), ...)`` gives the photo and the rows of its faces."""
    return _paint


@pytest.fixture
def teacher() -> PaintedTeacher:
    """A teacher for photos with one painted face or none."""
    return PaintedTeacher()


@pytest.fixture(scope="session")
def labelled() -> Callable[..., LabelledPhoto]:
    """A photo of a set with painted faces: ``labelled((x, y, side), ..., size=(160, 160), source="made")``."""

    def make(*faces, size=(160, 160), source="made", score=0.9):
        image, rows = _paint(*size, *faces)
        rows[:, 14] = score
        return LabelledPhoto("photo.png", source, "train", image, rows, np.zeros((0, 15), np.float32))

    return make


@pytest.fixture(scope="session")
def named() -> Callable[[str, int], list[str]]:
    """File names whose photos belong to a split: ``named("test", 3)``."""

    def names(split, count):
        every = (f"person{number}_0001.png" for number in range(1000))
        return [name for name in every if split_of(Path(name).name) == split][:count]

    return names


@pytest.fixture(scope="session")
def exported() -> tuple[FaceDetectorNetwork, bytes]:
    """A detector that has learned nothing but statistics, and its ONNX model: exporting takes seconds."""
    torch.manual_seed(0)
    network = FaceDetectorNetwork()
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        for head in network.heads:
            head[-1].weight.normal_(std=0.3)  # so that a lost or swapped layer shows
            head[-1].bias.normal_(-4, std=0.3)  # equal ones are one in the file
        for _ in range(3):
            network(torch.from_numpy(noise))
    return network.eval(), detector_onnx(network)
