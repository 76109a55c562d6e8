"""Good crops made poor in known ways: as of small, shaken, half-seen faces and much compressed photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from facegender.faces.types import CROP_SIZE, Crops, Image
from facegender.lab import effects

#: Changes one crop, uint8 64 x 64 x 3 RGB, at random where it must.
Degradation = Callable[[Image, np.random.Generator], Image]


def _covered(rows: tuple[float, float], columns: tuple[float, float], crop: Image, rng: np.random.Generator) -> Image:
    changed = crop.copy()
    (top, bottom), (left, right) = (tuple(round(CROP_SIZE * share) for share in pair) for pair in (rows, columns))
    changed[top:bottom, left:right] = rng.integers(0, 256, 3)
    return changed


#: By name, each at one level.
DEGRADATIONS: Mapping[str, Degradation] = {
    "32 px": lambda crop, rng: effects.shrunk(crop, 32),
    "24 px": lambda crop, rng: effects.shrunk(crop, 24),
    "16 px": lambda crop, rng: effects.shrunk(crop, 16),
    "12 px": lambda crop, rng: effects.shrunk(crop, 12),
    "blur, sigma 1": lambda crop, rng: effects.blurred(crop, 1.0),
    "blur, sigma 2": lambda crop, rng: effects.blurred(crop, 2.0),
    "blur, sigma 3": lambda crop, rng: effects.blurred(crop, 3.0),
    "shaken, 9 px": lambda crop, rng: effects.shaken(crop, 9, rng.uniform(0, 180)),
    "JPEG, quality 20": lambda crop, rng: effects.compressed(crop, 20),
    "JPEG, quality 10": lambda crop, rng: effects.compressed(crop, 10),
    "lower half covered": partial(_covered, (0.55, 1.0), (0.0, 1.0)),
    "left half covered": partial(_covered, (0.0, 1.0), (0.0, 0.5)),
    "eyes covered": partial(_covered, (0.28, 0.45), (0.0, 1.0)),
    "a quarter as bright": lambda crop, rng: effects.dark(crop, 0.25),
    "noise, 25 levels": lambda crop, rng: effects.noisy(crop, 25.0, rng),
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
