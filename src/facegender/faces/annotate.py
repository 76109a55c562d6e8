"""Answers drawn into the photo."""

from __future__ import annotations

import math

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from facegender.faces.types import LOW_QUALITY, FaceResult, Image, PhotoResult

#: From the palette of Okabe and Ito, which colour-blind people can tell apart; black reads well on all three.
COLOURS = {"female": "#E69F00", "male": "#009E73", "uncertain": "#C8C8C8"}

_SMALLEST_FONT = 7

#: Radii of a landmark's dot in the side of a face.
_SIDES_PER_DOT = 60


def annotate(image: Image, result: PhotoResult) -> Image:
    """Draw the boxes, landmarks and answers of a result into a copy of its image.

    A face of low quality has a thin box.

    Args:
        image: uint8, H x W x 3, RGB; the image that the result belongs to.
        result: a label reads ``female 97 %``, the answer and how probable it is, or ``uncertain``.

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
    text = str(prediction)
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
