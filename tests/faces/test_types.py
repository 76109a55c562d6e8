import math

import numpy as np
import PIL.Image
import pytest

from facegender.faces.pose import MEAN_SHAPE
from facegender.faces.types import LOW_QUALITY, Face, Picture, Prediction


def face(side=100.0, yaw=0.0, roll=0.0, turned=0):
    """A face turned by `yaw` and rolled clockwise by `roll` degrees, found `turned`."""
    points = np.array(MEAN_SHAPE)
    points[2, 0] += 0.55 * math.tan(math.radians(yaw))
    angle = math.radians(roll)
    points = points @ [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return Face((0, 0, side / 2, side * 2), tuple(map(tuple, (points * side).tolist())), 1.0, turned)


@pytest.mark.parametrize(
    ("side", "yaw", "quality"),
    [
        (48, 0, 1),
        (500, 0, 1),
        (24, 0, 0.5),
        (12, 0, 0.25),
        (100, 45, 0.5),
        (100, -45, 0.5),
        (100, 65, 25 / 90),
        (24, 60, 1 / 3),
    ],
)
@pytest.mark.parametrize(
    ("roll", "turned"), [(0, 0), (40, 0), (-40, 0), (-90, 270), (180, 180), (-150, 180), (100, 90)]
)
def test_quality_falls_with_size_and_turn_and_not_with_roll(side, yaw, quality, roll, turned):
    assert face(side, yaw, roll, turned).quality == pytest.approx(quality)


@pytest.mark.parametrize(("roll", "turned"), [(46, 0), (-46, 0), (90, 0), (180, 0), (0, 180), (-100, 90), (130, 180)])
def test_a_face_that_is_rolled_further_than_calibration_knows_has_no_quality(roll, turned):
    found = face(roll=roll, turned=turned)
    assert found.quality == 0
    assert Prediction(0.99, "male").for_quality(found.quality) == Prediction(0.99, "uncertain")


@pytest.mark.parametrize("roll", [0, 17, 90, -90, 179])
@pytest.mark.parametrize("yaw", [0, 45])
def test_roll(roll, yaw):
    assert face(roll=roll).roll == pytest.approx(roll)
    assert face(roll=roll, yaw=yaw).roll == pytest.approx(roll, abs=12)


def changed(points, scale=50):
    one, two, three, four, five = ((x * scale + 300, y * scale + 200) for x, y in points)
    return Face((250, 150, 100, 100), (one, two, three, four, five), 0.9)


RIGHT_EYE, LEFT_EYE, NOSE, RIGHT_MOUTH, LEFT_MOUTH = MEAN_SHAPE
NO_FACES = {
    "eyes swapped": (LEFT_EYE, RIGHT_EYE, NOSE, RIGHT_MOUTH, LEFT_MOUTH),
    "mirrored": (LEFT_EYE, RIGHT_EYE, NOSE, LEFT_MOUTH, RIGHT_MOUTH),
    "mouth above the eyes": tuple((x, -y) for x, y in MEAN_SHAPE),
    "eyes in the mouth": (RIGHT_MOUTH, RIGHT_EYE, NOSE, LEFT_EYE, LEFT_MOUTH),
    "all in one point": ((1, 1),) * 5,
}


@pytest.mark.parametrize("points", NO_FACES.values(), ids=NO_FACES)
def test_landmarks_that_are_no_face_have_no_quality(points):
    found = changed(points)
    assert found.misfit > 0.8
    assert found.quality == 0


def test_landmarks_of_faces_fit_however_large_and_placed_and_turned():
    for roll in (0, 33, -120, 180):
        assert face(31, roll=roll).misfit == pytest.approx(0, abs=1e-6)
    assert changed(MEAN_SHAPE, 3).misfit == changed(MEAN_SHAPE, 700).misfit == pytest.approx(0, abs=1e-6)
    half_profile = tuple((0.4 * x + (0.4 if number == 2 else 0), y) for number, (x, y) in enumerate(MEAN_SHAPE))
    assert 0.4 < changed(half_profile).misfit < 0.6
    assert changed(half_profile).quality > 0


def test_answers_of_faces_that_calibration_knows_stay():
    assert Prediction(0.99, "male").for_quality(0.01) == Prediction(0.99, "male")


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


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (Prediction(0.06, "female"), "female 94 %"),
        (Prediction(0.03, "female"), "female 97 %"),
        (Prediction(0.9999, "male"), "male 99 %"),
        (Prediction(1.0, "male"), "male 99 %"),
        (Prediction(0.93, "uncertain"), "uncertain"),
    ],
)
def test_answers_in_words(prediction, said):
    assert str(prediction) == said


def test_labels_follow_from_the_quality_in_the_record():
    assert Prediction(0.99, "male").for_quality(0.00004).label == "uncertain"


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (PIL.Image.new("RGB", (4, 3)), "Image"),
        ("photo.jpg", "str"),
        (np.zeros((3, 4), np.uint8), r"uint8, \(3, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), r"uint8, \(3, 4, 4\)"),
        (np.zeros((3, 4, 3), np.float32), r"float32, \(3, 4, 3\)"),
    ],
)
def test_a_picture_says_what_it_takes(image, what):
    with pytest.raises(TypeError, match=f"numpy array, uint8, H x W x 3, RGB, not {what}"):
        Picture.of(image)


def test_a_picture_of_an_image_is_its_full_photo():
    picture = Picture.of(np.asarray(PIL.Image.new("RGB", (4, 3))))
    assert (picture.width, picture.height, picture.scale, picture.scale_y) == (4, 3, 1, 1)
