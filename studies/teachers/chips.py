"""The chip that each of the three networks takes, cut from a photo by five landmarks.

`framing.json` says where the landmarks belong in each: measured on 387 faces of LFW, so that the chips are, on average,
those that dlib cuts for its two networks by its own landmarks; for faceres-deep they are 3.9 inter-eye distances wide.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

FRAMING = Path(__file__).with_name("framing.json")
_BORDERS = {"black": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}


@dataclass(frozen=True)
class Framing:
    """Where five landmarks belong in a chip of `size` pixels, how much each counts, and what is outside the photo."""

    size: int
    points: np.ndarray
    weights: np.ndarray
    border: str


def read_framings() -> dict[str, Framing]:
    return {
        name: Framing(row["size"], np.array(row["points"], float), np.array(row["weights"], float), row["border"])
        for name, row in json.loads(FRAMING.read_text()).items()
    }


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The 2 x 3 matrix of shift, turn and scale that brings points nearest to others, in weighted least squares."""
    shares = weights / weights.sum()
    middle, aim = shares @ source, shares @ target
    a, b = source - middle, target - aim
    spread = shares @ (a**2).sum(1)
    if not spread > 1e-6:
        raise ValueError("all landmarks are in one place")
    cosine = shares @ (a * b).sum(1) / spread
    sine = shares @ (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, aim - turn @ middle])


def cut(image: np.ndarray, landmarks: np.ndarray, framing: Framing) -> np.ndarray:
    """A chip, uint8, size x size x 3; as dlib does it, a face more than twice too large is halved first.

    Raises:
        ValueError: landmarks that no face has, or outside the photo.
    """
    size, matrix = framing.size, similarity(landmarks, framing.points, framing.weights)
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if not scale > 1e-4:
        raise ValueError("no face has such landmarks")
    halvings = max(0, math.ceil(math.log2(1 / scale)) - 1)
    if halvings:
        back = np.linalg.inv(matrix[:, :2])
        corners = (np.array([[0, 0], [size, 0], [0, size], [size, size]]) - matrix[:, 2]) @ back.T
        margin = 4 * 2**halvings
        left, top = np.maximum(corners.min(0) - margin, 0).astype(int)
        right, bottom = (corners.max(0) + margin).astype(int)
        image = image[top : max(bottom, 0), left : max(right, 0)]
        if min(image.shape[:2]) < 2:
            raise ValueError("the face is outside the photo")
        for _ in range(halvings):
            image = cv2.pyrDown(image)
        matrix[:, 2] += matrix[:, :2] @ (left, top)
        matrix[:, :2] *= 2**halvings
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=_BORDERS[framing.border])
