"""Drawings without faces: letters, dots, grids, ramps and test cards, which a face detector must leave alone."""

from __future__ import annotations

import cv2
import numpy as np

from facegender.faces.types import Image

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?&%@#()"


def draw_graphics(random: np.random.Generator, width: int, height: int) -> Image:
    """One drawing: uint8, height x width x 3, RGB; the generator alone decides which."""
    image = _ground(random, width, height)
    for _ in range(int(random.integers(1, 4))):
        _DRAWERS[random.integers(len(_DRAWERS))](random, image)
    return image


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    if random.random() < 0.4:
        gray = int((0, 0, 255, 255, random.integers(256))[random.integers(5)])
        return gray, gray, gray
    red, green, blue = (int(v) for v in random.integers(0, 256, 3))
    return red, green, blue


def _ground(random: np.random.Generator, width: int, height: int) -> Image:
    kind = random.integers(4)
    if kind == 0:  # a ramp
        ends = random.integers(0, 256, (2, 3))
        share = (
            np.linspace(0, 1, width)[None, :, None]
            if random.random() < 0.5
            else np.linspace(0, 1, height)[:, None, None]
        )
        ramp = ends[0] + (ends[1] - ends[0]) * share
        return np.ascontiguousarray(np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8))
    if kind == 1:  # a texture: noise of one grain
        grain = int(random.integers(1, 24))
        small = random.integers(0, 256, (height // grain + 2, width // grain + 2, 3)).astype(np.uint8)
        if random.random() < 0.5:
            small[:] = small[:, :, :1]
        way = int(random.choice((cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)))
        return np.asarray(cv2.resize(small, (width, height), interpolation=way), np.uint8)
    return np.full((height, width, 3), _colour(random), np.uint8)


def _text(random: np.random.Generator, image: Image) -> None:
    height, width = image.shape[:2]
    colour, font = _colour(random), int(random.choice(_FONTS))
    size = float(np.exp(random.uniform(np.log(0.3), np.log(max(0.5, height / 40)))))
    line = max(8, int(32 * size))
    for y in range(int(random.integers(0, line + 1)), height + line, line):
        text = "".join(random.choice(list(_LETTERS + " " * 12), int(random.integers(1, 30))))
        origin = int(random.integers(-20, max(1, width // 2))), y
        cv2.putText(image, text, origin, font, size, colour, int(random.integers(1, 2 + int(3 * size))), cv2.LINE_AA)
        if random.random() < 0.2:
            return


def _shapes(random: np.random.Generator, image: Image) -> None:
    height, width = image.shape[:2]
    for _ in range(int(random.integers(2, 20))):
        centre = int(random.integers(0, width)), int(random.integers(0, height))
        axes = int(random.integers(1, width // 3 + 2)), int(random.integers(1, height // 3 + 2))
        line = -1 if random.random() < 0.6 else int(random.integers(1, 6))
        kind = random.integers(4)
        if kind == 0:
            cv2.ellipse(image, centre, axes, float(random.uniform(0, 180)), 0, 360, _colour(random), line, cv2.LINE_AA)
        elif kind == 1:
            corner = centre[0] + axes[0], centre[1] + axes[1]
            cv2.rectangle(image, centre, corner, _colour(random), line)
        elif kind == 2:
            points = (np.array(centre) + random.normal(0, max(axes) / 2, (int(random.integers(3, 7)), 2))).astype(
                np.int32
            )
            cv2.fillPoly(image, [points], _colour(random), cv2.LINE_AA)
        else:
            end = int(random.integers(0, width)), int(random.integers(0, height))
            cv2.line(image, centre, end, _colour(random), int(random.integers(1, 8)), cv2.LINE_AA)


def _grid(random: np.random.Generator, image: Image) -> None:
    """Bars, a chequerboard, or dots in rows."""
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    step, angle = float(np.exp(random.uniform(np.log(3), np.log(60)))), random.uniform(0, np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)) / step
    across = (y * np.cos(angle) - x * np.sin(angle)) / step
    kind = random.integers(3)
    if kind == 0:
        mask = along % 1 < random.uniform(0.2, 0.8)
    elif kind == 1:
        mask = (np.floor(along) + np.floor(across)) % 2 == 0
    else:
        mask = (along % 1 - 0.5) ** 2 + (across % 1 - 0.5) ** 2 < random.uniform(0.02, 0.2)
    image[mask] = _colour(random)


def _rings(random: np.random.Generator, image: Image) -> None:
    """Circles in circles, alone or in pairs: wheels, targets, buttons, eyes without a face."""
    height, width = image.shape[:2]
    radius = int(random.integers(2, min(height, width) // 3 + 3))
    first = np.array([random.integers(0, width), random.integers(0, height)])
    colours = [_colour(random) for _ in range(int(random.integers(2, 5)))]
    for number in range(int(random.integers(1, 5))):
        x, y = (
            int(v) for v in first + number * np.array([radius * random.uniform(1.2, 3), radius * random.uniform(-1, 1)])
        )
        for ring, colour in enumerate(colours):
            cv2.circle(image, (x, y), max(1, radius - ring * radius // len(colours)), colour, -1, cv2.LINE_AA)


_DRAWERS = (_text, _text, _shapes, _grid, _rings)
