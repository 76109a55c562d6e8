"""How a face is turned, and whether its landmarks are those of a face at all."""

from __future__ import annotations

import math
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
#: Right eye, left eye, nose tip, right and left mouth corner (the subject's right, so the first eye is the
#: leftmost in an upright picture).
Landmarks: TypeAlias = tuple[Point, Point, Point, Point, Point]

#: The landmarks of a frontal face in inter-eye distances: origin midway between the eyes, x right, y down. Mean of
#: 3,257 faces of LFW and FairFace, made symmetric.
MEAN_SHAPE: Landmarks = ((-0.5, 0.0), (0.5, 0.0), (0.0, 0.57), (-0.436, 0.987), (0.436, 0.987))

#: How far the nose tip stands out from the eyes' plane, in inter-eye distances.
NOSE_DEPTH = 0.55


def yaw(landmarks: Landmarks) -> float:
    """Turn of the head to either side in degrees, about: 90 where both eyes are one point.

    How far the nose tip has left the middle between the eyes, along their axis.
    """
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y), _, _ = landmarks
    axis_x, axis_y = left_x - right_x, left_y - right_y
    square = axis_x * axis_x + axis_y * axis_y
    if square == 0:
        return 90.0
    along = (nose_x - (right_x + left_x) / 2) * axis_x + (nose_y - (right_y + left_y) / 2) * axis_y
    return math.degrees(math.atan(along / square / NOSE_DEPTH))


def roll(landmarks: Landmarks) -> float:
    """How far the head is rolled clockwise in the photo: degrees in (-180, 180], 0 for an upright face.

    The turn of the similarity that takes the mean face nearest to the landmarks; 0 where they are all one point.
    """
    real, imaginary, _ = _likeness(landmarks)
    return math.degrees(math.atan2(imaginary, real))


def misfit(landmarks: Landmarks) -> float:
    """How unlike a face the landmarks lie, in [0, 1], however large, turned and placed it is.

    The share, as a root mean square, of their spread that the similarity nearest to the mean face leaves over. 0 is
    the mean face itself, about 0.1 is usual, up to 0.7 are faces in profile, 1 is a mirrored face, or no spread at all.
    """
    real, imaginary, spread = _likeness(landmarks)
    if spread == 0:
        return 1.0
    return math.sqrt(max(0.0, 1 - (real * real + imaginary * imaginary) / spread))


_MEAN = tuple((x, y - sum(y for _, y in MEAN_SHAPE) / 5) for x, y in MEAN_SHAPE)
_MEAN_SPREAD = sum(x * x + y * y for x, y in _MEAN)


def _likeness(landmarks: Landmarks) -> tuple[float, float, float]:
    """The product of the landmarks and the mean face as complex numbers, and the product of their spreads."""
    middle_x, middle_y = sum(x for x, _ in landmarks) / 5, sum(y for _, y in landmarks) / 5
    placed = [(x - middle_x, y - middle_y) for x, y in landmarks]
    pairs = list(zip(placed, _MEAN, strict=True))
    real = sum(x * mean_x + y * mean_y for (x, y), (mean_x, mean_y) in pairs)
    imaginary = sum(y * mean_x - x * mean_y for (x, y), (mean_x, mean_y) in pairs)
    return real, imaginary, _MEAN_SPREAD * sum(x * x + y * y for x, y in placed)
