"""The face in the middle of a photo, and its crop."""

import numpy as np
import pytest

from facegender import weights
from facegender.faces.align import DEFAULT_TEMPLATE, LandmarkTemplate, crop_face
from facegender.faces.types import Face, Picture
from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets.cropping import FaceCropper, middle_face
from facegender.lab.datasets.lfw import USUAL_FACE

TEMPLATE = LandmarkTemplate.mean_face(side=2.5, drop=0.3)


def red(width, height, *squares):
    """A gray slope with red squares, each given by its centre and side."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(20, 120, width)[None, :, None] + np.linspace(0, 80, height)[:, None, None]
    for x, y, side in squares:
        image[round(y - side / 2) : round(y + side / 2), round(x - side / 2) : round(x + side / 2)] = (255, 0, 0)
    return image


def at(x, y, width, height):
    """A face with its centre."""
    points = ((x - 5, y), (x + 5, y), (x, y + 4), (x - 4, y + 8), (x + 4, y + 8))
    return Face((x - width / 2, y - height / 2, width, height), points, 0.9)


@pytest.fixture(scope="module")
def cropper(tiny_detector):
    return FaceCropper(OnnxDetector(tiny_detector, threads=1), TEMPLATE, USUAL_FACE)


def test_the_face_nearest_the_middle():
    near, nearer, aside = at(90, 50, 60, 60), at(103, 49, 20, 20), at(150, 50, 40, 40)
    for faces in ([near, nearer, aside], [aside, nearer, near]):
        assert middle_face(200, 100, faces) is nearer
    assert middle_face(200, 100, [aside, near]) is near


@pytest.mark.parametrize(
    ("face", "there"),
    [
        (at(80, 50, 40, 20), True),  # the middle lies on its border
        (at(79, 50, 40, 20), False),
        (at(100, 61, 40, 20), False),
        (at(120, 80, 200, 200), True),
    ],
)
def test_a_face_that_does_not_reach_the_middle_is_another(face, there):
    assert (middle_face(200, 100, [face]) is face) == there
    assert middle_face(200, 100, []) is None


def test_crops_follow_the_landmarks(cropper, block_face):
    squares = [(125, 125, 60), (110, 118, 48), (130, 139, 40)]
    photos = [red(250, 250, square) for square in squares] + [red(320, 200, (150, 105, 50), (40, 40, 50))]
    crops, found = cropper.crop(photos)
    assert [height is not None for height in found] == [True] * 4
    assert {(crop.shape, crop.dtype) for crop in crops} == {((64, 64, 3), np.dtype(np.uint8))}
    for crop, photo, square in zip(crops, photos, [*squares, (150, 105, 50)], strict=True):
        wanted = crop_face(Picture.of(photo), block_face(*square), TEMPLATE)
        assert np.abs(crop.astype(int) - wanted).mean() < 3


def test_a_margin_is_added_around_the_same_crop(tiny_detector):
    photo = red(250, 250, (125, 125, 60))
    detector = OnnxDetector(tiny_detector, threads=1)
    [crop], _ = FaceCropper(detector, TEMPLATE, USUAL_FACE).crop([photo])
    [wide], _ = FaceCropper(detector, TEMPLATE, USUAL_FACE, 8).crop([photo])
    assert wide.shape == (80, 80, 3)
    assert np.abs(wide[8:72, 8:72].astype(int) - crop).mean() < 1


def test_without_a_face_in_the_middle_the_usual_place_is_cropped(cropper):
    photos = [red(250, 250), red(250, 250, (50, 50, 60)), red(500, 250), red(250, 250, (125, 125, 60))]
    crops, found = cropper.crop(photos)
    assert [height is not None for height in found] == [False, False, False, True]
    for photo, crop in zip(photos[:3], crops[:3], strict=True):
        height, width = photo.shape[:2]
        places = tuple((x * width, y * height) for x, y in USUAL_FACE.landmarks)
        assert np.array_equal(crop, crop_face(Picture.of(photo), Face((0, 0, 1, 1), places, 0.0), TEMPLATE))


def test_the_usual_face_is_in_the_middle():
    assert middle_face(1, 1, [USUAL_FACE]) is USUAL_FACE
    right_eye, left_eye, nose, right_mouth, left_mouth = USUAL_FACE.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_eye[1] < nose[1] < right_mouth[1]
    assert right_mouth[0] < nose[0] < left_mouth[0]


def test_without_a_usual_place_the_largest_face_is_taken(cropper, block_face):
    anywhere = FaceCropper(cropper.detector, TEMPLATE)
    photo = red(320, 200, (150, 105, 40), (50, 50, 60))
    (crop, none), found = anywhere.crop([photo, red(250, 250)])
    assert [height is not None for height in found] == [True, False]
    assert none is None
    wanted = crop_face(Picture.of(photo), block_face(50, 50, 60), TEMPLATE)
    assert np.abs(crop.astype(int) - wanted).mean() < 3
    assert abs(found[0] - block_face(50, 50, 60).box[3]) < 6


def test_a_box_says_which_face_is_meant(cropper, block_face):
    photo = red(320, 200, (150, 105, 50), (50, 50, 50))
    there, empty = block_face(50, 50, 50).box, (220, 80, 60, 70)
    (crop, stand_in), found = cropper.crop([photo, photo], [there, empty])
    assert [height is not None for height in found] == [True, False]
    wanted = crop_face(Picture.of(photo), block_face(50, 50, 50), TEMPLATE)
    assert np.abs(crop.astype(int) - wanted).mean() < 3
    assert stand_in[..., 0].astype(int).max() - stand_in[..., 1].max() < 10  # the gray that the box speaks of


def test_no_photos(cropper):
    assert cropper.crop([]) == ([], [])


def test_the_alignment_names_detector_and_template(cropper, tiny_detector):
    card = weights.load_detector_card(tiny_detector)
    alignment = cropper.alignment
    assert alignment["detector"] == "blocks"
    assert alignment["detector_sha256"] == card.sha256
    assert alignment["min_score"] == card.min_score
    assert LandmarkTemplate.from_dict(alignment["template"]) == TEMPLATE


def test_the_shipped_detector_finds_a_portrait(astronaut):
    # Her face is near (222, 127): a square about it, and one beside it.
    cropper = FaceCropper(OnnxDetector(threads=1), DEFAULT_TEMPLATE, USUAL_FACE)
    _, found = cropper.crop([astronaut[2:252, 97:347], astronaut[262:512, 262:512]])
    assert [height is not None for height in found] == [True, False]
