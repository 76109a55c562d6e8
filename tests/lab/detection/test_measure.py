"""Counts and figures on rows made by hand."""

import math

import numpy as np
import pytest

from facegender.faces.types import Face
from facegender.lab.detection.measure import Comparison, as_rows, landmark_error

NONE = np.zeros((0, 15), np.float32)
SMALL, MIDDLE, LARGE = range(3)


def row(x, y, side, score=0.9, shift=0.0):
    """A face with its eyes half a side apart."""
    quarter = side / 4
    points = [(x - quarter, y), (x + quarter, y), (x, y + 2), (x - 3, y + 6), (x + 3, y + 6)]
    return [x - side / 2, y - side / 2, side, side, *(np.ravel(points) + [shift, 0] * 5), score]


def rows(*of):
    return np.array(of, np.float32).reshape(-1, 15)


def test_recall_by_size():
    comparison = Comparison()
    teacher = rows(*(row(40 * n, 50, side) for n, side in enumerate((10, 15.9, 16, 20, 31.9, 32, 39)) if n != 1))
    found = comparison.add(rows(row(80, 51, 16), row(160, 50, 32), row(200, 50, 33), row(0, 50, 10.5)), teacher)
    assert found == [True, True, False, True, True, False]
    assert (comparison.wanted, comparison.found) == ([1, 3, 2], [1, 2, 1])
    assert comparison.recall(SMALL) == 1
    assert comparison.recall(MIDDLE) == pytest.approx(2 / 3)
    assert comparison.recall(LARGE) == 0.5
    assert comparison.precision() == 1


def test_only_confident_faces_must_be_found():
    comparison = Comparison()
    assert comparison.add(NONE, rows(row(50, 50, 40, 0.79), row(150, 50, 40, 0.81))) == [False]
    assert comparison.wanted == [0, 0, 1]
    assert comparison.empty == 0


def test_a_box_that_is_half_off_is_another_face():
    comparison = Comparison()
    # 30 of 40 pixels in common: 3/5. 24 of 40: 3/7.
    assert comparison.add(rows(row(60, 50, 40)), rows(row(50, 50, 40))) == [True]
    assert comparison.add(rows(row(66, 50, 40)), rows(row(50, 50, 40))) == [False]
    assert comparison.precision() == 0.5


def test_precision_counts_suspected_faces_as_right():
    comparison = Comparison()
    teacher = rows(row(50, 50, 40), row(150, 50, 40, 0.35))
    comparison.add(rows(row(50, 50, 40, 0.9), row(150, 50, 40, 0.5), row(300, 50, 40, 0.4)), teacher)
    comparison.add(rows(row(50, 50, 40, 0.6)), NONE)
    assert comparison.precision() == 0.5
    assert comparison.precision(0.5) == pytest.approx(2 / 3)
    assert comparison.precision(0.61) == 1
    assert math.isnan(comparison.precision(0.95))


def test_false_faces_in_empty_photos():
    comparison = Comparison()
    assert math.isnan(comparison.false_per_100())
    for _ in range(7):
        comparison.add(NONE, NONE)
    comparison.add(rows(row(50, 50, 40, 0.6), row(150, 50, 40, 0.3)), NONE)
    comparison.add(rows(row(50, 50, 40, 0.9)), rows(row(300, 300, 40, 0.31)))  # not empty: a face is suspected
    assert (comparison.photos, comparison.empty) == (9, 8)
    assert comparison.false_per_100() == 25
    assert comparison.false_per_100(0.5) == 12.5
    assert comparison.false_per_100(0.7) == 0


def test_landmark_errors_in_inter_eye_distances():
    assert landmark_error(*rows(row(50, 50, 40, shift=5), row(50, 50, 40))) == pytest.approx(0.25)
    comparison = Comparison()
    teacher = rows(row(50, 50, 40), row(150, 50, 20), row(250, 50, 10), row(350, 50, 40))
    ours = rows(row(50, 50, 40, shift=2), row(150, 50, 20, shift=2), row(250, 50, 10, shift=2), row(450, 50, 40))
    comparison.add(ours, teacher)
    # The one of 10 pixels is too small to tell, the last was not found.
    assert comparison.landmark_errors == pytest.approx([0.1, 0.2])
    assert comparison.median_landmark_error() == pytest.approx(0.15)
    eyes_in_one_place = rows([0, 0, 9, 9, *(5, 5) * 5, 0.9])[0]
    assert math.isfinite(landmark_error(eyes_in_one_place, eyes_in_one_place))


def test_the_nearest_of_several_is_compared():
    comparison = Comparison()
    comparison.add(rows(row(54, 50, 40, shift=9), row(50, 50, 40, shift=2)), rows(row(50, 50, 40)))
    assert comparison.landmark_errors == pytest.approx([0.1])


def test_a_second_face_of_one_is_wrong():
    comparison = Comparison()
    comparison.add(rows(row(52, 50, 40, 0.6), row(54, 50, 40, 0.9), row(50, 50, 40, 0.7)), rows(row(50, 50, 40)))
    assert comparison.right == [False, True, False]  # the surest, not the nearest
    assert comparison.precision(0.8) == 1


def test_one_face_is_not_two_of_the_teachers():
    comparison = Comparison()
    teacher = rows(row(50, 50, 40), row(56, 50, 40))
    assert comparison.add(rows(row(54, 50, 40)), teacher) == [False, True]
    assert comparison.recall(LARGE) == 0.5
    # The surer one takes the nearer; the other is left with what is free.
    assert comparison.add(rows(row(55, 50, 40, 0.8), row(56, 50, 40, 0.9)), teacher) == [True, True]
    assert comparison.precision() == 1


def test_figures_for_a_card():
    comparison = Comparison()
    comparison.add(
        rows(row(50, 50, 20, shift=1), row(300, 50, 40)), rows(row(50, 50, 20), row(150, 50, 40), row(0, 0, 9))
    )
    assert comparison.to_dict() == {
        "photos": 1,
        "faces": 3,
        "recall_16_to_32_px": 1.0,
        "recall_from_32_px": 0.0,
        "precision": 0.5,
        "false_faces_per_100_empty_photos": None,
        "median_landmark_error": 0.1,
    }
    assert set(Comparison().to_dict().values()) == {0, None}


def test_faces_as_rows():
    face = Face((1, 2, 3, 4), ((5, 6), (7, 8), (9, 10), (11, 12), (13, 14)), 0.5)
    assert as_rows([face, face]).tolist() == [[*range(1, 15), 0.5]] * 2
    assert as_rows([]).shape == (0, 15)
