"""From a face in an image to a 64x64 crop. Training and inference both go through here.

Coordinates are continuous: pixel (0, 0) covers [0, 1) x [0, 1) and has its centre at (0.5, 0.5), so a
box (x, y, width, height) ends at x + width, and a crop spans [0, 64].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import CROP_SIZE, Crops, Face, Image

Matrix = npt.NDArray[np.float64]

#: Crop pixels around the needed region, so that interpolation never meets the region's own border.
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class BoxTemplate:
    """Where the crop lies relative to a face box. The side of a box is sqrt(width * height).

    Attributes:
        scale: side of the crop / side of the box.
        shift: x and y offset of the crop's centre from the box's centre, in sides of the box.
    """

    scale: float
    shift: tuple[float, float]

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale) or self.scale <= 0 or not all(map(math.isfinite, self.shift)):
            raise ValueError(f"a box template needs a positive scale and a finite shift, not {self}")

    def matrix(self, box: tuple[float, float, float, float], size: int = CROP_SIZE) -> Matrix:
        """The 2x3 similarity that takes image coordinates to crop coordinates."""
        x, y, width, height = box
        side = math.sqrt(width * height)
        zoom = size / (self.scale * side)
        centre_x = x + width / 2 + self.shift[0] * side
        centre_y = y + height / 2 + self.shift[1] * side
        return np.array([[zoom, 0.0, size / 2 - zoom * centre_x], [0.0, zoom, size / 2 - zoom * centre_y]])

    def to_dict(self) -> dict[str, Any]:
        """For a weight card: ``{"scale": float, "shift": [x, y]}``."""
        return {**asdict(self), "shift": list(self.shift)}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> BoxTemplate:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is something else."""
        shift_x, shift_y = record["shift"]
        return cls(scale=float(record["scale"]), shift=(float(shift_x), float(shift_y)))


#: For boxes of dlib's frontal detector, which lie a little left of the face (results/framing.csv).
HOG_TEMPLATE = BoxTemplate(scale=1.22, shift=(0.015, -0.05))


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
    scale = math.sqrt(abs(a * d - b * c))
    if not math.isfinite(scale) or scale == 0:
        raise ValueError(f"the alignment matrix cannot be inverted: {matrix.tolist()}")

    low, high = -float(_MARGIN), float(size + _MARGIN)
    corners = np.array([[low, high, low, high], [low, low, high, high]])
    region = np.linalg.inv(linear) @ (corners - offset[:, None])
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


def crop_face(image: Image, face: Face, template: BoxTemplate) -> Image:
    """Cut one face out: uint8, 64 x 64 x 3."""
    return warp(image, template.matrix(face.box))


def crop_faces(image: Image, faces: Sequence[Face], template: BoxTemplate) -> Crops:
    """Cut several faces out of one image: uint8, N x 64 x 64 x 3; N may be 0."""
    crops: Crops = np.empty((len(faces), CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    for crop, face in zip(crops, faces, strict=True):
        crop[:] = crop_face(image, face, template)
    return crops
