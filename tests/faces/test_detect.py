import cv2
import numpy as np
import pytest

from facegender.errors import InputError
from facegender.faces.detect import HogDetector


@pytest.fixture(scope="module")
def detector():
    return HogDetector()


def centre(face):
    x, y, width, height = face.box
    return x + width / 2, y + height / 2


def test_finds_the_face_at_every_size(detector, astronaut):
    small = cv2.resize(astronaut, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    large = cv2.resize(astronaut, None, fx=4, fy=4)
    for faces, scale in zip(detector.detect([astronaut, small, large]), (1, 0.6, 4), strict=True):
        x, y = centre(faces[0])
        assert abs(x / scale - 222) < 12
        assert abs(y / scale - 122) < 12
        assert 70 < faces[0].box[2] / scale < 115
        assert faces[0].score > 0
        assert faces[0].landmarks is None


def test_largest_first(detector, astronaut):
    face = astronaut[20:220, 120:320]
    canvas = np.full((420, 640, 3), 90, np.uint8)
    canvas[100:220, 30:150] = cv2.resize(face, (120, 120), interpolation=cv2.INTER_AREA)
    canvas[10:410, 220:620] = cv2.resize(face, (400, 400))
    faces = detector.detect([canvas])[0]
    areas = [f.box[2] * f.box[3] for f in faces]
    assert len(faces) >= 2
    assert areas == sorted(areas, reverse=True)
    assert centre(faces[0])[0] > 220


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_tiny_images_have_no_faces(detector, shape):
    assert detector.detect([np.zeros((*shape, 3), np.uint8)]) == [[]]


def test_empty_batch(detector):
    assert detector.detect([]) == []


def test_impossible_size():
    with pytest.raises(InputError, match="at least 1 pixel"):
        HogDetector(min_face=0)
