"""From a dataset's photo to the crop of the one face that its label means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from facegender.faces.align import LandmarkTemplate, crop_face
from facegender.faces.anchors import overlaps
from facegender.faces.pose import MEAN_SHAPE
from facegender.faces.types import Face, Image, Picture
from facegender.inference.detector import OnnxDetector

#: Where a face lies in a photo: x, y, width, height in pixels.
Box: TypeAlias = tuple[float, float, float, float]

#: A detected face is the one that a dataset's box means where they overlap so far (intersection over union).
_SAME_FACE = 0.3


@dataclass(frozen=True)
class FaceCropper:
    """Crops one face of each photo: the one in the middle, or in the given box, or the largest.

    Attributes:
        detector: the package's.
        template: where the landmarks go.
        usual: a face in a photo of 1 x 1: where the dataset's faces are on average; it stands in where none is
            found. None where they may be anywhere: then the largest face is taken, and a photo without one has none.
        margin: pixels around the crop that are kept too, on each side.
    """

    detector: OnnxDetector
    template: LandmarkTemplate
    usual: Face | None = None
    margin: int = 0

    @property
    def alignment(self) -> dict[str, Any]:
        """What a store says of it."""
        which = "largest face" if self.usual is None else "face in the middle"
        return {
            "method": f"five landmarks of the {which}",
            "detector": self.detector.card.name,
            "detector_sha256": self.detector.card.sha256,
            "min_score": self.detector.min_score,
            "template": self.template.to_dict(),
        }

    def crop(
        self, images: Sequence[Image], boxes: Sequence[Box | None] | None = None
    ) -> tuple[list[Image | None], list[float | None]]:
        """Crops, uint8, S x S x 3, or None where there is no face, and the height of each face that was found.

        S is 64 and twice the margin. The height is that of the box, in pixels of the image; None where something else
        stands in for the face.

        Args:
            images: uint8, H x W x 3, RGB, of any sizes.
            boxes: where the face lies, for photos of which the dataset tells it; where the detector finds none
                there, the box stands in for its landmarks.
        """
        pictures = [Picture.of(image) for image in images]
        crops: list[Image | None] = []
        heights = []
        everyone = self.detector.detect(pictures)
        for picture, faces, box in zip(pictures, everyone, boxes or [None] * len(pictures), strict=True):
            face = self._choose(picture, faces, box)
            heights.append(None if face is None else face.box[3])
            face = face or self._stand_in(picture, box)
            crops.append(None if face is None else crop_face(picture, face, self.template, self.margin))
        return crops, heights

    def _choose(self, picture: Picture, faces: Sequence[Face], box: Box | None) -> Face | None:
        if box is not None:
            shares = overlaps(np.array(box), np.array([face.box for face in faces]).reshape(-1, 4))
            return faces[int(shares.argmax())] if len(faces) and shares.max() >= _SAME_FACE else None
        if self.usual is not None:
            return middle_face(picture.width, picture.height, faces)
        return faces[0] if faces else None

    def _stand_in(self, picture: Picture, box: Box | None) -> Face | None:
        if box is not None:
            return face_in_box(box)
        return None if self.usual is None else scaled(self.usual, picture.width, picture.height)


def face_in_box(box: Box) -> Face:
    """The mean face in a tight box from brow to chin; eyes are about 0.42 of its width apart."""
    x, y, width, height = box
    apart, middle_x, eyes_y = 0.42 * width, x + width / 2, y + 0.35 * height
    one, two, three, four, five = ((middle_x + a * apart, eyes_y + b * apart) for a, b in MEAN_SHAPE)
    return Face(box, (one, two, three, four, five), 0.0)


def middle_face(width: int, height: int, faces: Sequence[Face]) -> Face | None:
    """Of the faces whose box holds the middle of the photo, the one centred nearest to it; None without any."""
    middle_x, middle_y = width / 2, height / 2

    def away(face: Face) -> tuple[float, float]:
        x, y, w, h = face.box
        return abs(x + w / 2 - middle_x), abs(y + h / 2 - middle_y)

    there = [face for face in faces if away(face)[0] <= face.box[2] / 2 and away(face)[1] <= face.box[3] / 2]
    return min(there, key=lambda face: sum(away(face)), default=None)


def scaled(face: Face, width: int, height: int) -> Face:
    """A face in a photo of 1 x 1 in one of this size."""
    x, y, w, h = face.box
    one, two, three, four, five = ((x * width, y * height) for x, y in face.landmarks)
    return Face((x * width, y * height, w * width, h * height), (one, two, three, four, five), face.score)
