"""From a face in a photo to a 64x64 crop. Training and inference both go through here.

Coordinates are continuous: pixel (0, 0) covers [0, 1) x [0, 1) and has its centre at (0.5, 0.5), so a
box (x, y, width, height) ends at x + width, and a crop spans [0, 64].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.pose import MEAN_SHAPE, Landmarks
from facegender.faces.types import CROP_SIZE, Crops, Face, Image, Picture

Matrix = npt.NDArray[np.float64]

#: Crop pixels around the needed region, so that interpolation never meets the region's own border.
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class LandmarkTemplate:
    """Where the five landmarks of a face belong in its crop.

    Attributes:
        points: x and y of each landmark as fractions of the crop's side, in the order of `Face.landmarks`.

    Raises:
        ValueError: not five finite points, or all five in one place.
    """

    points: Landmarks

    def __post_init__(self) -> None:
        five = len(self.points) == 5 and all(math.isfinite(v) for point in self.points for v in point)
        if not five or len(set(self.points)) == 1:
            raise ValueError(f"a landmark template needs five finite points that differ, not {self.points}")

    @classmethod
    def mean_face(cls, side: float, drop: float) -> LandmarkTemplate:
        """The mean face in a crop of a given width.

        Args:
            side: of the crop, in inter-eye distances.
            drop: how far below the middle between the eyes the crop's centre lies, in inter-eye distances.

        Raises:
            ValueError: ``side`` is not positive, or a number is not finite.
        """
        if not (side > 0 and math.isfinite(side)):
            raise ValueError(f"the side of a crop must be positive, not {side}")
        one, two, three, four, five = ((x / side + 0.5, (y - drop) / side + 0.5) for x, y in MEAN_SHAPE)
        return cls((one, two, three, four, five))

    def matrix(self, landmarks: Landmarks, size: int = CROP_SIZE) -> Matrix:
        """The similarity that takes a face's landmarks nearest, in least squares, to the template's.

        Turn, scale and shift, but no reflection: S. Umeyama, "Least-squares estimation of transformation
        parameters between two point patterns", TPAMI 13(4), 1991. In the plane, with points as complex
        numbers, its solution is a single quotient.

        Returns:
            float64, 2x3, from the landmarks' pixels to those of a ``size`` x ``size`` crop.

        Raises:
            ValueError: the landmarks are all one point.
        """
        here, there = (np.array(points, dtype=np.float64) @ [1, 1j] for points in (landmarks, self.points))
        there *= size
        here_mean, there_mean = here.mean(), there.mean()
        spread = float((np.abs(here - here_mean) ** 2).sum())
        if spread == 0:
            raise ValueError(f"the landmarks are all one point: {landmarks}")
        factor = np.vdot(here - here_mean, there - there_mean) / spread
        shift = there_mean - factor * here_mean
        return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])

    def scale(self, landmarks: Landmarks) -> float:
        """Crop pixels per pixel of the photo: above 1, a face is enlarged. ValueError as for `matrix`."""
        (a, b, _), _ = self.matrix(landmarks).tolist()
        return math.hypot(a, b)

    def to_dict(self) -> dict[str, Any]:
        """For a weight card: ``{"points": [[x, y], ...]}``."""
        return {"points": [list(point) for point in self.points]}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> LandmarkTemplate:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is something else."""
        one, two, three, four, five = ((float(x), float(y)) for x, y in record["points"])
        return cls((one, two, three, four, five))


#: How faces are cropped for training, chosen in results/accuracy/template.csv; a network's card says how its own were.
DEFAULT_TEMPLATE = LandmarkTemplate.mean_face(side=3.1, drop=0.40)


def warp(image: Image, matrix: Matrix, size: int = CROP_SIZE) -> Image:
    """Cut a ``size`` x ``size`` crop out of an image, without aliasing when it shrinks.

    Args:
        image: uint8, H x W x 3.
        matrix: float64, 2x3, takes image coordinates to crop coordinates.
        size: side of the crop in pixels.

    Returns:
        uint8, size x size x 3. Parts beyond the image repeat its border.

    Raises:
        ValueError: the matrix cannot be inverted.
    """
    linear, offset = matrix[:, :2], matrix[:, 2]
    (a, b), (c, d) = linear.tolist()
    determinant = a * d - b * c
    scale = math.sqrt(abs(determinant))
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"the alignment matrix cannot be inverted: {matrix.tolist()}")

    low, high = -float(_MARGIN), float(size + _MARGIN)
    corners = np.array([[low, high, low, high], [low, low, high, high]])
    region = np.array([[d, -b], [-c, a]]) / determinant @ (corners - offset[:, None])
    height, width = image.shape[:2]
    left, right = _clip_span(region[0], width)
    top, bottom = _clip_span(region[1], height)
    part: Image = image[top:bottom, left:right]

    # Bilinear sampling looks at 2x2 pixels only; averaging first makes every pixel of the face count.
    if scale < 1:
        shrunk = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        part = cv2.resize(part, shrunk, interpolation=cv2.INTER_AREA)
    pixel = np.array([(right - left) / part.shape[1], (bottom - top) / part.shape[0]])

    part_linear = linear * pixel
    part_offset = linear @ np.array([left, top], dtype=np.float64) + offset
    # OpenCV counts from pixel centres, half a pixel inside our corner.
    centred = part_offset + part_linear @ np.array([0.5, 0.5]) - 0.5
    crop: Image = cv2.warpAffine(
        part,
        np.column_stack([part_linear, centred]),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return crop


def _clip_span(edges: npt.NDArray[np.float64], length: int) -> tuple[int, int]:
    """The whole pixels from the least to the greatest edge that lie in the image; at least one."""
    first = min(max(math.floor(edges.min()), 0), length - 1)
    last = max(min(math.ceil(edges.max()), length), first + 1)
    return first, last


def crop_face(picture: Picture, face: Face, template: LandmarkTemplate, margin: int = 0) -> Image:
    """Cut one face out.

    Args:
        template: where its landmarks go in the 64 x 64 pixels.
        margin: pixels of the same scale to add on each side.

    Returns:
        uint8, S x S x 3; S is 64 + 2 x `margin`.

    Raises:
        ValueError: the landmarks are all one point.
    """
    matrix = template.matrix(face.landmarks)
    # The matrix starts from the full photo, the pixels may be fewer.
    matrix[:, :2] /= [picture.scale, picture.scale_y]
    matrix[:, 2] += margin
    return warp(picture.pixels, matrix, CROP_SIZE + 2 * margin)


def crop_faces(picture: Picture, faces: Sequence[Face], template: LandmarkTemplate) -> Crops:
    """Cut several faces out of one picture: uint8, N x 64 x 64 x 3; N may be 0. Errors as for `crop_face`."""
    crops: Crops = np.empty((len(faces), CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    for crop, face in zip(crops, faces, strict=True):
        crop[:] = crop_face(picture, face, template)
    return crops
