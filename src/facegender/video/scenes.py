"""Where one shot ends and the next begins."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import Image

#: float32, 512: shares of the pixels, adding up to 1.
Histogram: TypeAlias = npt.NDArray[np.float32]

#: Frames are compared in this width and height: enough for a histogram, and noise averages out.
_WIDTH, _HEIGHT = 64, 36
#: Bins of hue, saturation and value.
_BINS = (8, 8, 8)
#: Two frames of which less than this share of pixels is alike belong to two shots. Of pairs of different LFW photos
#: 99.8 % are less alike; a pan over a quarter of a photo leaves 0.67 and more, real films without cuts 0.71 and more.
CUT = 0.6


def histogram(image: Image) -> Histogram:
    """The colours of an image, in hue, saturation and value.

    Args:
        image: uint8, H x W x 3, RGB.
    """
    # Sampled first where the image is large: averaging all of it takes longer than it gains.
    step = max(1, min(image.shape[0] // (2 * _HEIGHT), image.shape[1] // (2 * _WIDTH)))
    tiny = cv2.resize(np.ascontiguousarray(image[::step, ::step]), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(tiny, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    shares: Histogram = counts.ravel() / (_WIDTH * _HEIGHT)
    return shares


def is_cut(one: Histogram, other: Histogram) -> bool:
    """Whether two sampled frames, one after the other, belong to two shots.

    Their histograms' intersection: M. J. Swain, D. H. Ballard, "Color Indexing", IJCV 7(1), 1991.
    """
    return float(np.minimum(one, other).sum()) < CUT
