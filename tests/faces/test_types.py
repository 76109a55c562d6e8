import math

import numpy as np
import pytest

from facegender.faces.align import MEAN_SHAPE
from facegender.faces.types import LOW_QUALITY, Face, Picture


def face(side=100.0, yaw=0.0, roll=0.0):
    """A face turned by `yaw` and rolled by `roll` degrees."""
    points = np.array(MEAN_SHAPE)
    points[2, 0] += 0.55 * math.tan(math.radians(yaw))
    angle = math.radians(roll)
    points = points @ [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return Face((0, 0, side / 2, side * 2), tuple(map(tuple, (points * side).tolist())), 1.0)


@pytest.mark.parametrize(
    ("side", "yaw", "quality"),
    [
        (48, 0, 1),
        (500, 0, 1),
        (24, 0, 0.5),
        (12, 0, 0.25),
        (100, 45, 0.5),
        (100, -45, 0.5),
        (100, 80, 1 / 9),
        (24, 60, 1 / 3),
    ],
)
@pytest.mark.parametrize("roll", [0, 40, -90, 180])
def test_quality_falls_with_size_and_turn_and_not_with_roll(side, yaw, quality, roll):
    assert face(side, yaw, roll).quality == pytest.approx(quality)


def test_eyes_in_one_point():
    assert Face((0, 0, 90, 90), ((5.0, 5.0), (5.0, 5.0), (6.0, 7.0), (4.0, 9.0), (6.0, 9.0)), 1.0).quality == 0


def test_the_gray_zone_begins_below_24_pixels_and_beyond_45_degrees():
    assert face(23).quality < LOW_QUALITY < face(25).quality
    assert face(100, 47).quality < LOW_QUALITY < face(100, 43).quality


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1), (math.nan, 0, 5, 5), (0, math.inf, 5, 5)])
def test_impossible_boxes(box):
    with pytest.raises(ValueError, match="positive size"):
        Face(box, face().landmarks, 1.0)


@pytest.mark.parametrize("landmarks", [MEAN_SHAPE[:4], (*MEAN_SHAPE[:4], (0.0, math.nan))])
def test_impossible_landmarks(landmarks):
    with pytest.raises(ValueError, match="five finite landmarks"):
        Face((0, 0, 5, 5), landmarks, 1.0)


def test_scales_of_a_picture():
    whole = Picture.of(np.zeros((30, 40, 3), np.uint8))
    assert (whole.width, whole.height, whole.scale, whole.scale_y) == (40, 30, 1, 1)
    half = Picture(np.zeros((16, 20, 3), np.uint8), 40, 31)
    assert (half.scale, half.scale_y) == (0.5, 16 / 31)
