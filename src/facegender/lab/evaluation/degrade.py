"""Good crops made poor in known ways: as of small, shaken, half-seen faces and much compressed photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np

from facegender.faces.types import CROP_SIZE, Crops, Image

#: Changes one crop, uint8 64 x 64 x 3 RGB, at random where it must.
Degradation = Callable[[Image, np.random.Generator], Image]


def _small(side: int, crop: Image, rng: np.random.Generator) -> Image:
    less = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _blurred(sigma: float, crop: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8)


def _shaken(length: int, crop: Image, rng: np.random.Generator) -> Image:
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), rng.uniform(0, 180), 1.0)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    return np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), np.uint8)


def _compressed(quality: int, crop: Image, rng: np.random.Generator) -> Image:
    _, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _covered(rows: tuple[float, float], columns: tuple[float, float], crop: Image, rng: np.random.Generator) -> Image:
    changed = crop.copy()
    (top, bottom), (left, right) = (tuple(round(CROP_SIZE * share) for share in pair) for pair in (rows, columns))
    changed[top:bottom, left:right] = rng.integers(0, 256, 3)
    return changed


def _dark(factor: float, crop: Image, rng: np.random.Generator) -> Image:
    return np.asarray(crop * factor, np.uint8)


def _noisy(deviation: float, crop: Image, rng: np.random.Generator) -> Image:
    return np.asarray((crop + rng.normal(0, deviation, crop.shape)).clip(0, 255), np.uint8)


#: By name, each at one level.
DEGRADATIONS: Mapping[str, Degradation] = {
    "32 px": partial(_small, 32),
    "24 px": partial(_small, 24),
    "16 px": partial(_small, 16),
    "12 px": partial(_small, 12),
    "blur, sigma 1": partial(_blurred, 1.0),
    "blur, sigma 2": partial(_blurred, 2.0),
    "blur, sigma 3": partial(_blurred, 3.0),
    "shaken, 9 px": partial(_shaken, 9),
    "JPEG, quality 20": partial(_compressed, 20),
    "JPEG, quality 10": partial(_compressed, 10),
    "lower half covered": partial(_covered, (0.55, 1.0), (0.0, 1.0)),
    "left half covered": partial(_covered, (0.0, 1.0), (0.0, 0.5)),
    "eyes covered": partial(_covered, (0.28, 0.45), (0.0, 1.0)),
    "a quarter as bright": partial(_dark, 0.25),
    "noise, 25 levels": partial(_noisy, 25.0),
}

_SEED = 2020


def degrade(crops: Crops, name: str) -> Crops:
    """All crops made poor in one way of `DEGRADATIONS`; uint8, N x 64 x 64 x 3, always the same for the same crops."""
    rng = np.random.default_rng(_SEED)
    return np.stack([DEGRADATIONS[name](crop, rng) for crop in crops])


def degrade_mixed(crops: Crops) -> Crops:
    """Each crop made poor in one way, drawn with a fixed seed; uint8, N x 64 x 64 x 3."""
    rng = np.random.default_rng(_SEED)
    ways = list(DEGRADATIONS.values())
    return np.stack([ways[rng.integers(len(ways))](crop, rng) for crop in crops])
