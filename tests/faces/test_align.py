import math

import numpy as np
import pytest

from facegender.faces.align import HOG_TEMPLATE, BoxTemplate, crop_face, crop_faces, warp
from facegender.faces.types import Face


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


def test_template_puts_the_shifted_centre_in_the_middle():
    matrix = BoxTemplate(scale=2.0, shift=(0.1, -0.2)).matrix((100, 200, 40, 90))
    side = 60
    np.testing.assert_allclose(matrix @ [120 + 0.1 * side, 245 - 0.2 * side, 1], [32, 32])
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) * 64 / 120)


def test_template_round_trip():
    assert BoxTemplate.from_dict(HOG_TEMPLATE.to_dict()) == HOG_TEMPLATE


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_template_needs_a_positive_scale(scale):
    with pytest.raises(ValueError, match="positive scale"):
        BoxTemplate(scale, (0.0, 0.0))


def test_crops_of_several_faces(astronaut):
    faces = [Face((179, 83, 88, 88), 1.0), Face((-20, -20, 60, 60), 0.1)]
    crops = crop_faces(astronaut, faces, HOG_TEMPLATE)
    assert crops.shape == (2, 64, 64, 3)
    assert crops.dtype == np.uint8
    np.testing.assert_array_equal(crops[1], crop_face(astronaut, faces[1], HOG_TEMPLATE))


def test_no_faces(astronaut):
    assert crop_faces(astronaut, [], HOG_TEMPLATE).shape == (0, 64, 64, 3)
