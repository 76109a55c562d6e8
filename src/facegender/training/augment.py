"""Random changes of a batch of crops, in NumPy and OpenCV: it runs in a thread beside the training step."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import CROP_SIZE, Crops
from facegender.training.recipe import Augmentation

FloatArray = npt.NDArray[np.float64]


def augment(crops: Crops, settings: Augmentation, rng: np.random.Generator) -> Crops:
    """Change each crop at random: one affine warp, one change of colours, perhaps a covered rectangle.

    Args:
        crops: uint8, N x 64 x 64 x 3, RGB; left as they are.
        settings: how far each change may go.
        rng: the source of randomness.

    Returns:
        uint8, N x 64 x 64 x 3.
    """
    n = len(crops)
    angle = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate, n))
    size = np.exp(rng.uniform(-settings.scale, settings.scale, n))
    mirror = np.where(rng.random(n) < 0.5, -1.0 if settings.flip else 1.0, 1.0)
    shift = rng.uniform(-settings.shift, settings.shift, (n, 2)) * CROP_SIZE
    turn = np.empty((n, 2, 3))
    turn[:, 0, 0], turn[:, 0, 1] = mirror * size * np.cos(angle), -size * np.sin(angle)
    turn[:, 1, 0], turn[:, 1, 1] = mirror * size * np.sin(angle), size * np.cos(angle)
    centre = np.full(2, (CROP_SIZE - 1) / 2)
    turn[:, :, 2] = centre + shift - turn[:, :, :2] @ centre

    colours = _colour_changes(n, settings.colour, rng)
    erased = rng.random(n) < settings.erase
    out = np.empty((n, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    for i in range(n):
        warped = cv2.warpAffine(
            crops[i],
            turn[i],
            (CROP_SIZE, CROP_SIZE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        if settings.colour:
            # The part of the transform that does not depend on the crop, then contrast about the crop's mean.
            warped = cv2.transform(warped, _about_mean(colours[i], float(warped.mean())))
        if erased[i]:
            x, y, width, height = rng.integers((0, 0, 8, 8), (CROP_SIZE - 8, CROP_SIZE - 8, 28, 28))
            warped[y : y + height, x : x + width] = rng.integers(0, 256)
        out[i] = warped
    return out


def _colour_changes(n: int, amount: float, rng: np.random.Generator) -> FloatArray:
    """Brightness, contrast and saturation factors, N x 3."""
    factors: FloatArray = 1 + rng.uniform(-1, 1, (n, 3)) * amount * np.array([1.0, 1.0, 1.5])
    return factors


def _about_mean(factors: FloatArray, mean: float) -> FloatArray:
    """The 3x4 colour matrix: saturation about the gray axis, contrast about the crop's mean, then brightness."""
    brightness, contrast, saturation = factors
    matrix = np.empty((3, 4))
    matrix[:, :3] = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    matrix[:, 3] = mean * (brightness - contrast)
    return matrix
