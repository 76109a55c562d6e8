"""What happens to pictures on their way into an archive: small, shaken, dark, gray, grainy, printed, compressed.

Every effect takes and gives uint8, H x W x 3, RGB, and leaves its argument as it is. `DEGRADATIONS` make good crops
poor in known ways: as of small, shaken, half-seen faces and much compressed photos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import CROP_SIZE, Crops, Image

#: Red, green and blue of a sepia tone at full brightness.
_SEPIA = np.array([1.0, 0.89, 0.71])


def gray(image: Image) -> Image:
    """Black and white, three equal channels."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def sepia(image: Image, strength: float) -> Image:
    """Black and white, toned brown: `strength` 0 is gray, 1 full sepia."""
    tone = 1 - strength * (1 - _SEPIA)
    return np.asarray(gray(image) * tone, np.uint8)


def shrunk(image: Image, side: float) -> Image:
    """As of a picture in which the image's width was `side` pixels, enlarged again."""
    width = max(2, round(side))
    height = max(2, round(side * image.shape[0] / image.shape[1]))
    less = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def blurred(image: Image, sigma: float) -> Image:
    """Out of focus: a Gaussian, `sigma` in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def shaken(image: Image, length: int, angle: float) -> Image:
    """Moved during the exposure: over `length` pixels, at `angle` degrees."""
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), angle, 1.0)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), np.uint8)


def compressed(image: Image, quality: int) -> Image:
    """After JPEG of a quality from 1 to 100."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def dark(image: Image, factor: float) -> Image:
    """With so little light."""
    return np.asarray(image * factor, np.uint8)


def noisy(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Noise of each pixel and channel, of a standard deviation in levels of 255."""
    return _added(image, rng.normal(0, deviation, image.shape))


def grainy(image: Image, deviation: float, size: float, rng: np.random.Generator) -> Image:
    """Film grain: the same in all channels, clumps of about `size` pixels, strongest in middle tones."""
    height, width = image.shape[:2]
    clumps = max(2, round(width / size)), max(2, round(height / size))
    grain = cv2.resize(
        rng.normal(0, 1, clumps[::-1]).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    grain /= max(float(grain.std()), 1e-6)
    middle = 1 - np.abs(image.mean(2) / 127.5 - 1) ** 2
    return _added(image, (deviation * grain * (0.4 + 0.6 * middle))[..., None])


def screened(image: Image, period: float, angle: float, phase: tuple[float, float] = (0.0, 0.0)) -> Image:
    """Printed in black dots: a halftone screen of a `period` in pixels, at `angle` degrees.

    The dot function is the usual sum of two cosines; a soft threshold stands for the scanner's own blur.
    """
    tone = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    y, x = np.mgrid[0 : tone.shape[0], 0 : tone.shape[1]].astype(np.float32)
    turn = np.deg2rad(angle)
    along = (x * np.cos(turn) + y * np.sin(turn)) / period + phase[0]
    across = (y * np.cos(turn) - x * np.sin(turn)) / period + phase[1]
    dots = 0.5 + 0.25 * (np.cos(2 * np.pi * along) + np.cos(2 * np.pi * across))
    # The cosines' values are not spread evenly; their rank makes the share of ink that of the tone.
    ink = np.clip((tone - _rank(dots)) * period + 0.5, 0, 1)
    return np.asarray(np.repeat((ink * 255)[..., None], 3, 2), np.uint8)


def printed(image: Image, rng: np.random.Generator) -> Image:
    """On newsprint: gray, less contrast, paper that is no white and ink that is no black, and the paper's fibres."""
    low, high = rng.uniform(20, 60), rng.uniform(170, 220)
    flat = np.asarray(low + gray(image) * ((high - low) / 255), np.uint8)
    return grainy(flat, rng.uniform(4, 12), rng.uniform(1, 2), rng)


def _rank(dots: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The share of a screen's values below each value: the distribution of the sum of two cosines, nearly."""
    centred = 2 * dots - 1
    rank: npt.NDArray[np.floating] = 0.5 + np.sign(centred) * (0.5 - 0.5 * (1 - np.abs(centred)) ** 1.27)
    return rank


def _added(image: Image, change: npt.NDArray[np.floating]) -> Image:
    return np.asarray((image + change).clip(0, 255), np.uint8)


#: Changes one crop, uint8 64 x 64 x 3 RGB, at random where it must.
Degradation = Callable[[Image, np.random.Generator], Image]


def _covered(rows: tuple[float, float], columns: tuple[float, float], crop: Image, rng: np.random.Generator) -> Image:
    changed = crop.copy()
    (top, bottom), (left, right) = (tuple(round(CROP_SIZE * share) for share in pair) for pair in (rows, columns))
    changed[top:bottom, left:right] = rng.integers(0, 256, 3)
    return changed


#: By name, each at one level.
DEGRADATIONS: Mapping[str, Degradation] = {
    "32 px": lambda crop, rng: shrunk(crop, 32),
    "24 px": lambda crop, rng: shrunk(crop, 24),
    "16 px": lambda crop, rng: shrunk(crop, 16),
    "12 px": lambda crop, rng: shrunk(crop, 12),
    "blur, sigma 1": lambda crop, rng: blurred(crop, 1.0),
    "blur, sigma 2": lambda crop, rng: blurred(crop, 2.0),
    "blur, sigma 3": lambda crop, rng: blurred(crop, 3.0),
    "shaken, 9 px": lambda crop, rng: shaken(crop, 9, rng.uniform(0, 180)),
    "JPEG, quality 20": lambda crop, rng: compressed(crop, 20),
    "JPEG, quality 10": lambda crop, rng: compressed(crop, 10),
    "lower half covered": partial(_covered, (0.55, 1.0), (0.0, 1.0)),
    "left half covered": partial(_covered, (0.0, 1.0), (0.0, 0.5)),
    "eyes covered": partial(_covered, (0.28, 0.45), (0.0, 1.0)),
    "a quarter as bright": lambda crop, rng: dark(crop, 0.25),
    "noise, 25 levels": lambda crop, rng: noisy(crop, 25.0, rng),
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
