"""From a photo that is known to show one face in its middle to that face's crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegender.faces.align import LandmarkTemplate, crop_face
from facegender.faces.detect import OnnxDetector
from facegender.faces.types import CROP_SIZE, Crops, Face, Image, Picture


@dataclass(frozen=True)
class CentreCropper:
    """Crops the face in the middle of each photo; where the detector finds none there, by where faces usually are.

    Attributes:
        detector: the package's.
        template: where the landmarks go.
        usual: a face in a photo of 1 x 1: where the dataset's faces are on average.
    """

    detector: OnnxDetector
    template: LandmarkTemplate
    usual: Face

    @property
    def alignment(self) -> dict[str, Any]:
        """What a store says of it."""
        return {
            "method": "five landmarks of the face in the middle",
            "detector": self.detector.card.name,
            "detector_sha256": self.detector.card.sha256,
            "min_score": self.detector.min_score,
            "template": self.template.to_dict(),
        }

    def crop(self, images: Sequence[Image]) -> tuple[Crops, list[bool]]:
        """Crops, uint8, N x 64 x 64 x 3, and for each whether its face was found."""
        pictures = [Picture.of(image) for image in images]
        crops: Crops = np.empty((len(pictures), CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
        found = []
        for crop, picture, faces in zip(crops, pictures, self.detector.detect(pictures), strict=True):
            face = middle_face(picture.width, picture.height, faces)
            found.append(face is not None)
            crop[:] = crop_face(picture, face or _scaled(self.usual, picture.width, picture.height), self.template)
        return crops, found


def middle_face(width: int, height: int, faces: Sequence[Face]) -> Face | None:
    """Of the faces whose box holds the middle of the photo, the one centred nearest to it; None without any."""
    middle_x, middle_y = width / 2, height / 2

    def away(face: Face) -> tuple[float, float]:
        x, y, w, h = face.box
        return abs(x + w / 2 - middle_x), abs(y + h / 2 - middle_y)

    there = [face for face in faces if away(face)[0] <= face.box[2] / 2 and away(face)[1] <= face.box[3] / 2]
    return min(there, key=lambda face: sum(away(face)), default=None)


def _scaled(face: Face, width: int, height: int) -> Face:
    x, y, w, h = face.box
    one, two, three, four, five = ((x * width, y * height) for x, y in face.landmarks)
    return Face((x * width, y * height, w * width, h * height), (one, two, three, four, five), face.score)
