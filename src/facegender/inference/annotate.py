"""Answers drawn into the photo."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from facegender.faces.types import LOW_QUALITY, FaceResult, Image, PhotoResult, Prediction
from facegender.files import atomic_file

#: From the palette of Okabe and Ito, which colour-blind people can tell apart; black reads well on all three.
COLOURS = {"female": "#E69F00", "male": "#009E73", "uncertain": "#C8C8C8"}

#: What the name of an annotated picture ends in.
ANNOTATED_SUFFIX = ".faces.jpg"

_SMALLEST_FONT = 7

#: Radii of a landmark's dot in the side of a face.
_SIDES_PER_DOT = 60

#: Pixels a side that a JPEG file can have; larger pictures are shrunk to it.
_JPEG_LIMIT = 65_500


def annotate(image: Image, result: PhotoResult) -> Image:
    """Draw the boxes, landmarks and answers of a result into a copy of its image.

    A face of low quality has a thin box.

    Args:
        image: uint8, H x W x 3, RGB; the image that the result belongs to.
        result: a label reads ``female 0.97``: the answer and how probable it is.

    Returns:
        uint8, H x W x 3, RGB.
    """
    canvas = PIL.Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    line = max(1, round(max(canvas.size) / 250))
    # The largest face last, so that its box is not hidden by those of smaller ones; labels above all boxes.
    for found in reversed(result.faces):
        low = found.face.quality < LOW_QUALITY
        _draw_box(draw, found, max(1, line // 3) if low else line)
    for found in reversed(result.faces):
        _draw_label(draw, found, canvas.size, line)
    return np.array(canvas)


def answer_text(prediction: Prediction) -> str:
    """The answer and how probable it is: ``female 0.97``."""
    # Rounded down: "1.00" would claim a certainty that no model has.
    confidence = math.floor(100 * max(prediction.p_male, 1 - prediction.p_male)) / 100
    return f"{prediction.label} {confidence:.2f}"


def _draw_box(draw: ImageDraw.ImageDraw, found: FaceResult, line: int) -> None:
    x, y, width, height = found.face.box
    colour = COLOURS[found.prediction.label]
    # A dark rim on both sides keeps the colour apart from a background of its own shade.
    rim = max(1, line // 2)
    for grow, shade, thickness in ((rim, "black", line + 2 * rim), (0, colour, line)):
        draw.rectangle((x - grow, y - grow, x + width + grow, y + height + grow), None, shade, thickness)
    radius = math.sqrt(width * height) / _SIDES_PER_DOT
    if radius >= 1:  # smaller ones would hide the face
        for point_x, point_y in found.face.landmarks:
            draw.circle((point_x, point_y), radius, colour)


def _draw_label(draw: ImageDraw.ImageDraw, found: FaceResult, size: tuple[int, int], line: int) -> None:
    prediction = found.prediction
    text = answer_text(prediction)
    points = max(_SMALLEST_FONT, round(max(size) / 45))
    while True:
        font = ImageFont.load_default(points)
        left, top, right, bottom = draw.textbbox((0, 0), text, font)
        pad = max(1, round(points / 5))
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        if points <= _SMALLEST_FONT or (width <= size[0] and height <= size[1]):
            break
        points -= 1

    box_x, box_y, _, box_height = found.face.box
    above, below = box_y - line - height, box_y + box_height + line
    y = above if above >= 0 else below
    x = max(0, min(box_x, size[0] - width))
    y = max(0, min(y, size[1] - height))
    draw.rectangle((x, y, x + width, y + height), COLOURS[prediction.label])
    draw.text((x + pad - left, y + pad - top), text, "black", font)


def save_annotated(image: Image, result: PhotoResult, path: Path) -> None:
    """Draw a result and save it as JPEG.

    Args:
        image: uint8, H x W x 3, RGB.
        result: belongs to the image.
        path: of the new file, in a folder that exists.

    Raises:
        OutputError: the folder cannot be written.
    """
    drawn = PIL.Image.fromarray(annotate(image, result))
    drawn.thumbnail((_JPEG_LIMIT, _JPEG_LIMIT))
    with atomic_file(path) as temporary:
        drawn.save(temporary, format="JPEG", quality=92)


class PictureNames:
    """Stems for the pictures made of photos: that of the photo, or ``STEM-2`` where the name is taken.

    The same photos in the same order have the same stems, so that a run that is taken up makes the same files.

    Args:
        taken: names of files that must not be overwritten.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        # Many file systems do not tell A.jpg from a.jpg. Hashes take less room than names.
        self._taken = {hash(name.casefold()) for name in taken}

    def stem(self, photo: str) -> str:
        """A stem of its own for a photo."""
        stem = Path(photo).stem or "photo"
        unique, number = stem, 1
        while (key := hash(f"{unique}{ANNOTATED_SUFFIX}".casefold())) in self._taken:
            number += 1
            unique = f"{stem}-{number}"
        self._taken.add(key)
        return unique
