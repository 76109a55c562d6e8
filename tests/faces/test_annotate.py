import numpy as np
import pytest

from facegender.faces.annotate import annotate
from facegender.faces.types import Face, FaceResult, PhotoResult, Prediction

FEMALE = Prediction(0.03, "female")


def landmarks(box, nose=0.5):
    x, y, width, height = box
    places = ((0.3, 0.4), (0.7, 0.4), (nose, 0.6), (0.35, 0.8), (0.65, 0.8))
    return tuple((x + a * width, y + b * height) for a, b in places)


def result(*boxes, path="photo.jpg", prediction=FEMALE, nose=0.5):
    faces = (FaceResult(Face(box, landmarks(box, nose), 1.0), prediction) for box in boxes)
    return PhotoResult(path, faces=tuple(faces))


def changed(before, after):
    """Left, top, right, bottom of what differs."""
    y, x = np.nonzero((before != after).any(axis=2))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_box_and_label_are_drawn_into_a_copy(shade):
    image = np.full((300, 400, 3), shade, np.uint8)
    box = (150, 120, 80, 90)
    drawn = annotate(image, result(box))
    assert (image == shade).all()
    left, top, right, bottom = changed(image, drawn)
    assert left in range(145, 151)
    assert top < 115
    assert bottom in range(209, 216)
    assert right > 225
    inside = (drawn[130:200, 160:220] != shade).any(axis=2)
    assert all(inside[int(y) - 130, int(x) - 160] for x, y in landmarks(box))
    assert inside.sum() < 5 * 25


@pytest.mark.parametrize("box", [(0, 0, 50, 50), (350, 250, 90, 90), (-30, -30, 60, 60), (0, 0, 400, 300)])
def test_the_label_stays_inside_the_picture(box):
    for shade in (0, 255):
        image = np.full((300, 400, 3), shade, np.uint8)
        drawn = annotate(image, result(box))
        # The label's ground: the female colour in a solid patch, with black writing on it.
        ground = (drawn == (230, 159, 0)).all(axis=2)
        assert ground.sum() > 300


def test_labels_grow_with_the_picture():
    heights = []
    for size in (200, 2000):
        image = np.full((size, size, 3), 255, np.uint8)
        drawn = annotate(image, result((0.4 * size, 0.4 * size, 0.3 * size, 0.3 * size)))
        heights.append(0.4 * size - changed(image, drawn)[1])
    assert heights[1] > 4 * heights[0]


def test_the_three_answers_differ():
    image = np.zeros((100, 200, 3), np.uint8)
    predictions = (Prediction(0.1, "female"), Prediction(0.9, "male"), Prediction(0.45, "uncertain"))
    drawn = [annotate(image, result((50, 40, 40, 40), prediction=p)).tobytes() for p in predictions]
    assert len(set(drawn)) == 3


def test_a_face_of_low_quality_has_a_thin_box():
    image = np.full((1000, 1000, 3), 255, np.uint8)
    frontal, turned = (annotate(image, result((300, 300, 300, 300), nose=nose)) for nose in (0.5, 0.75))
    left_edge = [(drawn[450, 250:330] != 255).any(axis=1).sum() for drawn in (frontal, turned)]
    assert left_edge[0] >= 2 * left_edge[1] > 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3)])
def test_tiny_pictures(shape):
    image = np.zeros((*shape, 3), np.uint8)
    assert annotate(image, result((0, 0, 1, 1))).shape == image.shape


def test_no_faces_no_change():
    image = np.full((20, 20, 3), 9, np.uint8)
    np.testing.assert_array_equal(annotate(image, PhotoResult("a", 20, 20)), image)
