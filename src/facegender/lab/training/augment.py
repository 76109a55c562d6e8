"""Random changes of a batch of crops, in NumPy and OpenCV: it runs in a thread beside the training step."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import CROP_SIZE, Crops
from facegender.lab.training.recipe import Augmentation

FloatArray = npt.NDArray[np.float64]


def augment(crops: Crops, settings: Augmentation, rng: np.random.Generator, size: int = CROP_SIZE) -> Crops:
    """Change each crop at random: one affine warp, one change of colours, perhaps lost detail or a covered rectangle.

    Args:
        crops: uint8, N x 64 x 64 x 3, RGB; left as they are.
        settings: how far each change may go.
        rng: the source of randomness.
        size: side of the crops that come out.

    Returns:
        uint8, N x `size` x `size` x 3.
    """
    n = len(crops)
    angle = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate, n))
    grown = np.exp(rng.uniform(-settings.scale, settings.scale, n))
    mirror = np.where(rng.random(n) < 0.5, -1.0 if settings.flip else 1.0, 1.0)
    shift = rng.uniform(-settings.shift, settings.shift, (n, 2)) * CROP_SIZE
    turn = np.empty((n, 2, 3))
    turn[:, 0, 0], turn[:, 0, 1] = mirror * grown * np.cos(angle), -grown * np.sin(angle)
    turn[:, 1, 0], turn[:, 1, 1] = mirror * grown * np.sin(angle), grown * np.cos(angle)
    centre = np.full(2, (CROP_SIZE - 1) / 2)
    turn[:, :, 2] = centre + shift - turn[:, :, :2] @ centre

    if size != CROP_SIZE:  # the warp scales too; pixel centres lie at halves
        turn[:, :, 2] = (turn[:, :, 2] + 0.5) * size / CROP_SIZE - 0.5
        turn[:, :, :2] *= size / CROP_SIZE

    colours = _colour_changes(n, settings.colour, rng)
    erased = rng.random(n) < settings.erase
    blurred = rng.random(n) < settings.blur
    out = np.empty((n, size, size, 3), np.uint8)
    for i in range(n):
        warped = cv2.warpAffine(
            crops[i],
            turn[i],
            (size, size),
            flags=cv2.INTER_LINEAR if size > CROP_SIZE // 2 else cv2.INTER_AREA,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        if settings.colour:
            # The part of the transform that does not depend on the crop, then contrast about the crop's mean.
            warped = cv2.transform(warped, _about_mean(colours[i], float(warped.mean())))
        if blurred[i]:
            warped = _lose_detail(warped, rng)
        if erased[i]:
            corner, side = size - size // 8, size // 8
            x, y, width, height = rng.integers((0, 0, side, side), (corner, corner, 7 * side // 2, 7 * side // 2))
            warped[y : y + height, x : x + width] = rng.integers(0, 256)
        out[i] = warped
    return out


def _lose_detail(crop: Crops, rng: np.random.Generator) -> Crops:
    """A crop as of a smaller face, or out of focus."""
    size = len(crop)
    if rng.random() < 0.5:
        small = max(4, round(size / rng.uniform(1.3, 4.0)))
        lost = cv2.resize(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    else:
        lost = cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.5, 2.0) * size / CROP_SIZE)
    return np.asarray(lost, np.uint8)


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
