import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facegender.faces.align import DEFAULT_TEMPLATE, LandmarkTemplate, crop_face, crop_faces, warp
from facegender.faces.pose import MEAN_SHAPE
from facegender.faces.types import Face, Picture


def scale_and_shift(zoom, x, y):
    """The matrix under which image position (x, y) becomes the crop's corner."""
    return np.array([[zoom, 0.0, -zoom * x], [0.0, zoom, -zoom * y]])


def ramp(width, height):
    """Every pixel's value is its column."""
    return np.repeat(np.tile(np.arange(width, dtype=np.uint8), (height, 1))[..., None], 3, axis=2)


@pytest.fixture
def random_image():
    return np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_identity_returns_the_image(random_image):
    np.testing.assert_array_equal(warp(random_image, scale_and_shift(1, 0, 0)), random_image)


def test_whole_shift_is_a_slice():
    image = np.random.default_rng(3).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    np.testing.assert_array_equal(warp(image, scale_and_shift(1, 20, 31)), image[31:95, 20:84])


def test_quarter_turn(random_image):
    turn = np.array([[0.0, -1.0, 64.0], [1.0, 0.0, 0.0]])  # x' = 64 - y, y' = x: clockwise
    np.testing.assert_array_equal(warp(random_image, turn), np.rot90(random_image, -1))


def test_shrunk_gradient_is_exact():
    # Columns 3i, 3i+1, 3i+2 become column i, whose value is their mean.
    expected = 3 * np.arange(64) + 1
    crop = warp(ramp(192, 192), scale_and_shift(1 / 3, 0, 0))
    np.testing.assert_array_equal(crop, np.broadcast_to(expected[None, :, None], crop.shape))


def test_shrunk_gradient_is_exact_inside_a_larger_image():
    expected = 30 + 3 * np.arange(64) + 1
    crop = warp(ramp(256, 300), scale_and_shift(1 / 3, 30, 41))
    np.testing.assert_array_equal(crop, np.broadcast_to(expected[None, :, None], crop.shape))


@pytest.mark.parametrize("zoom", [0.3, 0.41, 0.5, 0.77, 0.99, 1.0, 1.3, 2.0, 5.0])
def test_gradient_at_any_zoom(zoom):
    # Pixel i of the crop has its centre at (i + 0.5) / zoom from the corner; ramp(x) = x - 0.5 there.
    expected = 10.3 + (np.arange(64) + 0.5) / zoom - 0.5
    crop = warp(ramp(256, 256), scale_and_shift(zoom, 10.3, 20.6))
    assert np.abs(crop - expected[None, :, None]).max() <= 1


def test_rotated_gradient():
    angle = math.radians(30)
    linear = 0.4 * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    offset = np.array([32.0, 32.0]) - linear @ [128.0, 128.0]
    crop = warp(ramp(256, 256), np.column_stack([linear, offset]))
    centres = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5))
    x = np.einsum("i,ihw->hw", np.linalg.inv(linear)[0], centres - offset[:, None, None])
    assert np.abs(crop[..., 0] - (x - 0.5)).max() <= 1.5


def test_fine_patterns_do_not_alias():
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = warp(np.repeat(checkers[..., None], 3, axis=2), scale_and_shift(0.25, 0, 0))
    assert np.abs(crop.astype(int) - 127.5).max() <= 1


def test_border_is_repeated():
    crop = warp(ramp(64, 64), scale_and_shift(1, -10, 0))
    assert (crop[:, :10] == 0).all()
    assert (crop[:, 10:, 0] == np.arange(54)).all()


@pytest.mark.parametrize(("x", "value"), [(-5000, 0), (5000, 63)])
@pytest.mark.parametrize("zoom", [0.2, 1, 3])
def test_crop_beyond_the_image(x, value, zoom):
    assert (warp(ramp(64, 64), scale_and_shift(zoom, x, 0)) == value).all()


def test_one_pixel_image():
    assert (warp(np.full((1, 1, 3), 9, np.uint8), scale_and_shift(64, 0, 0)) == 9).all()


def test_a_part_of_a_very_wide_image():
    # OpenCV's warp takes at most 32767 pixels a side.
    image = np.zeros((8, 40_000, 3), np.uint8)
    image[:, 39_990:] = 200
    assert (warp(image, scale_and_shift(8, 39_991, 0)) == 200).all()


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.array([[1.0, 1, 0], [1, 1, 0]]), np.full((2, 3), np.nan)])
def test_matrix_without_inverse(matrix, random_image):
    with pytest.raises(ValueError, match="cannot be inverted"):
        warp(random_image, matrix)


def face_at(x, y, eyes, angle=0.0, **changes):
    """A face of the mean shape, turned clockwise: its middle between the eyes, and their distance."""
    turn = eyes * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = tuple((float(px), float(py)) for px, py in np.array(MEAN_SHAPE) @ turn.T + (x, y))
    return Face((x - eyes, y - eyes, 2 * eyes, 2 * eyes), changes.get("landmarks", points), 1.0)


def moved(matrix, points):
    return np.array(points) @ matrix[:, :2].T + matrix[:, 2]


def test_the_frame_lies_as_asked():
    template = LandmarkTemplate.mean_face(side=3.2, drop=0.5)
    points = np.array(template.points)
    assert points[1, 0] - points[0, 0] == pytest.approx(1 / 3.2)
    assert points[:2, 0].mean() == pytest.approx(0.5)
    assert points[:2, 1].mean() == pytest.approx(0.5 - 0.5 / 3.2)
    matrix = template.matrix(face_at(200, 100, 40).landmarks)
    np.testing.assert_allclose(moved(matrix, [(200, 100 + 0.5 * 40)]), [[32, 32]], atol=1e-9)
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) * 64 / (3.2 * 40), atol=1e-12)


@pytest.mark.parametrize("angle", [0, 0.3, -1.2, math.pi])
@pytest.mark.parametrize("size", [64, 112])
def test_the_mean_face_lands_on_the_template(angle, size):
    matrix = DEFAULT_TEMPLATE.matrix(face_at(90, 700, 31, angle).landmarks, size)
    landed = moved(matrix, face_at(90, 700, 31, angle).landmarks)
    np.testing.assert_allclose(landed, np.array(DEFAULT_TEMPLATE.points) * size, atol=1e-9)


@given(
    hnp.arrays(np.float64, (5, 2), elements=st.floats(-500, 500)),
    hnp.arrays(np.float64, 4, elements=st.floats(-0.1, 0.1)),
)
def test_no_other_similarity_comes_nearer(landmarks, change):
    assume(np.ptp(landmarks) > 1)
    points = tuple(map(tuple, landmarks.tolist()))
    matrix = DEFAULT_TEMPLATE.matrix(points)
    (a, minus_b), (b, also_a) = matrix[:, :2].tolist()
    assert (a, b) == (also_a, -minus_b)  # turn and scale, no reflection
    target = np.array(DEFAULT_TEMPLATE.points) * 64
    other = np.array([[a + change[0], -b - change[1], 0], [b + change[1], a + change[0], 0]])
    other[:, 2] = matrix[:, 2] + change[2:]
    best, worse = (((moved(m, points) - target) ** 2).sum() for m in (matrix, other))
    assert best <= worse + 1e-6


def test_a_mirrored_face_is_not_mirrored_back():
    mirrored = face_at(
        100, 100, 30, landmarks=tuple((200 - x, y + 0.01 * x) for x, y in face_at(100, 100, 30).landmarks)
    )
    assert np.linalg.det(DEFAULT_TEMPLATE.matrix(mirrored.landmarks)[:, :2]) > 0


def test_landmarks_in_one_point():
    with pytest.raises(ValueError, match="all one point"):
        DEFAULT_TEMPLATE.matrix(((3.0, 4.0),) * 5)


def test_template_round_trip():
    record = json.loads(json.dumps(DEFAULT_TEMPLATE.to_dict()))
    assert LandmarkTemplate.from_dict(record) == DEFAULT_TEMPLATE


@pytest.mark.parametrize(
    "points", [DEFAULT_TEMPLATE.points[:4], ((0.5, 0.5),) * 5, (*DEFAULT_TEMPLATE.points[:4], (math.nan, 0.0))]
)
def test_templates_that_cannot_be(points):
    with pytest.raises(ValueError, match="five finite points"):
        LandmarkTemplate(points)


@pytest.mark.parametrize(
    "record", [{}, {"scale": 1.2, "shift": [0, 0]}, {"points": None}, {"points": [[0, 1]] * 4}, {"points": [[1]] * 5}]
)
def test_records_that_are_no_template(record):
    with pytest.raises((KeyError, TypeError, ValueError)):
        LandmarkTemplate.from_dict(record)


@pytest.mark.parametrize("side", [0.0, -1.0, math.nan, math.inf])
def test_a_frame_needs_a_positive_side(side):
    with pytest.raises(ValueError, match="must be positive"):
        LandmarkTemplate.mean_face(side, 0.4)


def test_crops_of_several_faces(astronaut):
    faces = [face_at(222, 110, 42, 0.1), face_at(-20, -20, 30)]
    crops = crop_faces(Picture.of(astronaut), faces, DEFAULT_TEMPLATE)
    assert crops.shape == (2, 64, 64, 3)
    assert crops.dtype == np.uint8
    np.testing.assert_array_equal(crops[1], crop_face(Picture.of(astronaut), faces[1], DEFAULT_TEMPLATE))


def test_a_reduced_picture_gives_the_same_crop(astronaut):
    # 511 x 509 halves to 256 x 255: the scales of x and y differ.
    image = astronaut[:509, :511]
    reduced = Picture(cv2.resize(image, (256, 255), interpolation=cv2.INTER_AREA), 511, 509)
    face = face_at(222, 110, 60, 0.2)
    whole, half = (crop_face(p, face, DEFAULT_TEMPLATE).astype(int) for p in (Picture.of(image), reduced))
    assert np.abs(whole - half).mean() < 3
    other = crop_face(reduced, face_at(223.5, 110, 60, 0.2), DEFAULT_TEMPLATE).astype(int)
    assert np.abs(whole - half).mean() < np.abs(whole - other).mean()


def test_no_faces(astronaut):
    assert crop_faces(Picture.of(astronaut), [], DEFAULT_TEMPLATE).shape == (0, 64, 64, 3)
