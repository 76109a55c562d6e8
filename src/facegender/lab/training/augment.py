"""Random changes of a batch of crops, in NumPy and OpenCV: it runs in a thread beside the training step."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.pose import MEAN_SHAPE
from facegender.faces.types import CROP_SIZE, Crops, Image
from facegender.lab import effects
from facegender.lab.training.recipe import Augmentation

FloatArray = npt.NDArray[np.float64]

#: Landmarks of the mean face around their centre, as complex numbers, in inter-eye distances; and how many pixels of
#: a crop an inter-eye distance is, about, whatever the template.
_FACE = np.array(MEAN_SHAPE) @ [1, 1j]
_FACE -= _FACE.mean()
_EYES_APART = CROP_SIZE / 3.4
#: Changes that an `Augmentation` has a probability for, in the order in which they are drawn.
_CHANGES = ("dark", "erase", "blur", "gray", "grain", "print", "jpeg")


def augment(crops: Crops, settings: Augmentation, rng: np.random.Generator, size: int = CROP_SIZE) -> Crops:
    """Change each crop at random: one affine warp, one change of colours, and what archives do to pictures.

    Args:
        crops: uint8, N x S x S x 3, RGB; left as they are. What S has beyond 64 is a margin that turns and shifts
            bring into view; without one the border is mirrored there.
        size: side of the crops that come out.

    Returns:
        uint8, N x `size` x `size` x 3.
    """
    n = len(crops)
    turn = _warps(n, settings, rng)
    # Pixel centres lie at halves: from crop to crop with its margin, and to the size that comes out.
    margin = (crops.shape[1] - CROP_SIZE) / 2
    ratio = size / CROP_SIZE
    turn[:, :, 2] -= margin * turn[:, :, :2].sum(2)
    turn[:, :, 2] = (turn[:, :, 2] + 0.5) * ratio - 0.5
    turn[:, :, :2] *= ratio

    # Factors of brightness, contrast and saturation.
    colours = 1 + rng.uniform(-1, 1, (n, 3)) * settings.colour * np.array([1.0, 1.0, 1.5])
    out = np.empty((n, size, size, 3), np.uint8)
    for i in range(n):
        changed = cv2.warpAffine(
            crops[i], turn[i], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        if settings.colour:
            # The part of the transform that does not depend on the crop, then contrast about the crop's mean.
            changed = cv2.transform(changed, _about_mean(colours[i], float(changed.mean())))
        out[i] = _archived(np.asarray(changed, np.uint8), settings, rng)
    return out


def _warps(n: int, settings: Augmentation, rng: np.random.Generator) -> FloatArray:
    """N x 2 x 3, from pixels of a 64-pixel crop to those of the changed one."""
    angle = rng.uniform(-settings.rotate, settings.rotate, n)
    tilted = rng.random(n) < settings.tilt
    angle = np.deg2rad(np.where(tilted, rng.uniform(-45, 45, n), angle))
    grown = np.exp(rng.uniform(-settings.scale, settings.scale, n))
    mirror = np.where(rng.random(n) < 0.5, -1.0 if settings.flip else 1.0, 1.0)
    shift = rng.uniform(-settings.shift, settings.shift, (n, 2)) * CROP_SIZE
    if settings.jitter:
        # Least squares of wrong landmarks to the right ones: their mean moves, the quotient turns and scales.
        wrong = rng.normal(0, settings.jitter, (n, 5, 2)) @ [1, 1j]
        quotient = 1 + ((wrong - wrong.mean(1, keepdims=True)) * _FACE.conj()).sum(1) / (np.abs(_FACE) ** 2).sum()
        angle = angle - np.angle(quotient)
        grown = grown / np.clip(np.abs(quotient), 0.5, 2)
        shift -= np.stack([wrong.mean(1).real, wrong.mean(1).imag], 1) * _EYES_APART
    turn = np.empty((n, 2, 3))
    turn[:, 0, 0], turn[:, 0, 1] = mirror * grown * np.cos(angle), -grown * np.sin(angle)
    turn[:, 1, 0], turn[:, 1, 1] = mirror * grown * np.sin(angle), grown * np.cos(angle)
    centre = np.full(2, (CROP_SIZE - 1) / 2)
    turn[:, :, 2] = centre + shift - turn[:, :, :2] @ centre
    return turn


def _archived(crop: Image, settings: Augmentation, rng: np.random.Generator) -> Image:
    """One crop after whatever happens to it, in the order of the world: light, lens, film, print, file."""
    happens = {name for name, draw in zip(_CHANGES, rng.random(7), strict=True) if draw < getattr(settings, name)}
    share = len(crop) / CROP_SIZE  # what is measured in pixels is so on a whole crop
    if "erase" in happens:
        crop = _covered(crop, rng)
    if "dark" in happens:
        crop = effects.noisy(effects.dark(crop, rng.uniform(0.15, 0.6)), rng.uniform(1, 6), rng)
    if "blur" in happens:
        crop = _lose_detail(crop, rng)
    if "gray" in happens:
        crop = effects.sepia(crop, rng.uniform(0.3, 1.0)) if rng.random() < 0.25 else effects.gray(crop)
    if "grain" in happens:
        crop = effects.grainy(crop, rng.uniform(5, 28), max(1.0, share * rng.uniform(1.0, 2.5)), rng)
    if "print" in happens:
        if rng.random() < 0.4:
            crop = effects.printed(crop, rng)
        else:
            period = max(2.0, share * rng.uniform(2, 5))
            crop = effects.screened(crop, period, rng.uniform(0, 90), (rng.random(), rng.random()))
            crop = effects.blurred(crop, share * rng.uniform(0.4, 2.0))
    if "jpeg" in happens:
        crop = effects.compressed(crop, int(rng.integers(15, 61)))
    return crop


def _covered(crop: Image, rng: np.random.Generator) -> Image:
    """With a patch: anywhere, or as a hat, or as a mask, scarf or microphone."""
    size = len(crop)
    corner, side = size - size // 8, size // 8
    x, y, width, height = rng.integers((0, 0, side, side), (corner, corner, 7 * side // 2, 7 * side // 2))
    place = rng.random()
    if place < 0.15:
        x, y, width, height = 0, 0, size, int(size * rng.uniform(0.12, 0.35))
    elif place < 0.3:
        y = int(size * rng.uniform(0.55, 0.8))
        x, width, height = 0, size, size
    crop = crop.copy()
    crop[y : y + height, x : x + width] = rng.integers(0, 256, 3 if rng.random() < 0.5 else 1)
    return crop


def _lose_detail(crop: Image, rng: np.random.Generator) -> Image:
    """A crop as of a smaller face, out of focus or shaken."""
    share = len(crop) / CROP_SIZE
    kind = rng.random()
    if kind < 0.55:
        return effects.shrunk(crop, np.exp(rng.uniform(np.log(12), np.log(48))) * share)
    if kind < 0.85:
        return effects.blurred(crop, rng.uniform(0.5, 2.0) * share)
    return effects.shaken(crop, max(3, round(rng.uniform(3, 9) * share)), rng.uniform(0, 180))


def _about_mean(factors: FloatArray, mean: float) -> FloatArray:
    """The 3x4 colour matrix: saturation about the gray axis, contrast about the crop's mean, then brightness."""
    brightness, contrast, saturation = factors
    matrix = np.empty((3, 4))
    matrix[:, :3] = contrast * (saturation * np.eye(3) + (1 - saturation) / 3)
    matrix[:, 3] = mean * (brightness - contrast)
    return matrix
