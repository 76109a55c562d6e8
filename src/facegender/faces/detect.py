"""Where the faces are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2

from facegender.errors import InputError
from facegender.faces.types import Face, Image


class FaceDetector(Protocol):
    """Anything that finds faces in a batch of images."""

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """Find the faces of each image, largest first; boxes in pixels of that image."""
        ...


class HogDetector:
    """dlib's frontal face detector (histogram of oriented gradients); finds upright faces only.

    Args:
        min_face: side in pixels of the smallest face to be found. Smaller takes longer: the image is
            enlarged, up to 1600 pixels on its longest side. A larger image is shrunk to that, and the
            smallest face found grows with it: 160 pixels at 3200.

    Raises:
        InputError: ``min_face`` is below 1.
    """

    #: The detector's window: it finds faces from this many pixels on.
    WINDOW = 80
    LONGEST_SIDE = 1600
    #: Of dlib's margin; below it are mostly folds of cloth. It keeps all of 442 centre faces of LFW.
    MIN_SCORE = 0.2

    def __init__(self, min_face: int = 40) -> None:
        if min_face < 1:
            raise InputError(f"the smallest face must be at least 1 pixel, not {min_face}")
        self.min_face = min_face
        self._detector: Any = None

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """Find the faces of each image, largest first, no landmarks; the score is dlib's margin, above 0."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Face]:
        if self._detector is None:
            import dlib

            self._detector = dlib.get_frontal_face_detector()
        height, width = image.shape[:2]
        scale = min(self.WINDOW / self.min_face, self.LONGEST_SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        working = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        back_x, back_y = width / size[0], height / size[1]
        boxes, scores, _ = self._detector.run(working, 0, self.MIN_SCORE)
        faces = [
            Face(
                box=(
                    box.left() * back_x,
                    box.top() * back_y,
                    box.width() * back_x,
                    box.height() * back_y,
                ),
                score=float(score),
            )
            for box, score in zip(boxes, scores, strict=True)
        ]
        return sorted(faces, key=lambda face: (face.box[2] * face.box[3], face.score), reverse=True)
