"""What several views of a photo agree on, with a detector that says what it is told."""

import os
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from facegender.errors import DatasetError, WeightsError
from facegender.faces.types import Picture
from facegender.lab.detection import teacher as module
from facegender.lab.detection.teacher import Teacher, mirror, read_pts
from facegender.lab.detection.yunet import YuNetDetector

MODELS = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[4] / "shared" / "datasets")).parent / "models"
YUNET = MODELS / "yunet_n_640_640.onnx"

#: A face in a photo 64 pixels wide, and the same face in the mirrored photo.
FACE = (10, 8, 20, 24, *(14, 15, 25, 14, 20, 20, 15, 26, 24, 25))
MIRRORED_FACE = (34, 8, 20, 24, *(39, 14, 50, 15, 44, 20, 40, 25, 49, 26))
OTHER_FACE = (40, 20, 16, 16, *(44, 25, 52, 25, 48, 28, 45, 32, 51, 32))
AS_IT_IS, MIRRORED, TWICE, HALF = (1, False), (1, True), (2, False), (0.5, False)


class ScriptedYuNet:
    """Gives the rows of a view; the photo is light on its right."""

    rows: ClassVar = {}

    def __init__(self, model, min_score):
        pass

    def detect_rows(self, images):
        [image] = images
        view = image.shape[1] / 64, bool(image[:, 0].mean() > image[:, -1].mean())
        return [np.array(self.rows.get(view, ()), np.float32).reshape(-1, 15)]


def seen(view, score, face=FACE):
    """One row as a network gives it for a view, in the view's pixels."""
    scale, mirrored = view
    return [*(np.array(MIRRORED_FACE if mirrored else face) * scale).tolist(), score]


@pytest.fixture
def label(monkeypatch):
    monkeypatch.setattr(module, "YuNetDetector", ScriptedYuNet)
    photo = np.full((48, 64, 3), 50, np.uint8)
    photo[:, 32:] = 200

    def run(rows, image=photo):
        monkeypatch.setattr(ScriptedYuNet, "rows", rows)
        return Teacher("yunet.onnx").label(image)

    return run


def test_all_views_speak_of_the_same_places(label):
    views = (AS_IT_IS, MIRRORED, TWICE, HALF)
    labels = label({view: [seen(view, score)] for view, score in zip(views, (0.9, 0.8, 0.95, 0.7), strict=True)})
    assert labels.unsure.shape == (0, 15)
    np.testing.assert_allclose(labels.faces, [[*FACE, 0.95]], atol=1e-4)
    assert labels.faces.dtype == np.float32


def test_places_are_averaged(label):
    moved = (14, *FACE[1:])
    labels = label({AS_IT_IS: [seen(AS_IT_IS, 0.8)], TWICE: [seen(TWICE, 0.8, moved)]})
    np.testing.assert_allclose(labels.faces[0, :4], [12, 8, 20, 24], atol=1e-4)


@pytest.mark.parametrize(
    ("scores", "sure"),
    [
        ({AS_IT_IS: 0.75, HALF: 0.35}, True),
        ({AS_IT_IS: 0.65, MIRRORED: 0.65, TWICE: 0.65}, False),
        ({AS_IT_IS: 0.95}, False),
        ({MIRRORED: 0.3}, False),
    ],
    ids=["sure and seen again", "never sure", "in one view", "faint"],
)
def test_what_is_not_sure_is_neither_face_nor_background(label, scores, sure):
    labels = label({view: [seen(view, score)] for view, score in scores.items()})
    assert (len(labels.faces), len(labels.unsure)) == ((1, 0) if sure else (0, 1))


def test_one_view_that_says_it_twice_is_one_view(label):
    labels = label({AS_IT_IS: [seen(AS_IT_IS, 0.9), seen(AS_IT_IS, 0.8)]})
    assert (len(labels.faces), len(labels.unsure)) == (0, 1)


def test_faces_are_told_apart(label):
    both = {view: [seen(view, 0.9), seen(view, 0.8, OTHER_FACE)] for view in (AS_IT_IS, TWICE)}
    labels = label({**both, HALF: [seen(HALF, 0.6, (0, 0, 6, 6, *FACE[4:]))]})
    np.testing.assert_allclose(labels.faces, [[*FACE, 0.9], [*OTHER_FACE, 0.8]], atol=1e-4)
    assert len(labels.unsure) == 1


@pytest.mark.parametrize("shape", [(48, 64), (1, 1), (5, 640), (12, 12)])
def test_nothing_to_see(label, shape):
    labels = label({}, np.zeros((*shape, 3), np.uint8))
    assert labels.faces.shape == labels.unsure.shape == (0, 15)


def test_a_mirror():
    rows = np.array([[*FACE, 0.5], [*OTHER_FACE, 0.6]], np.float32)
    assert mirror(rows, 64)[0].tolist() == [*MIRRORED_FACE, 0.5]
    assert np.array_equal(mirror(mirror(rows, 64), 64), rows)
    assert mirror(rows[:0], 64).shape == (0, 15)


def test_no_teacher(tmp_path):
    with pytest.raises(WeightsError, match=r"no such weight file: .*absent\.onnx"):
        Teacher(tmp_path / "absent.onnx")


@pytest.mark.parametrize("content", [None, b"", b"no network"], ids=["absent", "empty", "text"])
def test_no_yunet(content, tmp_path, capfd):
    path = tmp_path / "yunet.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"yunet\.onnx"):
        YuNetDetector(path)
    assert capfd.readouterr() == ("", "")


def test_another_network_is_no_yunet(tiny_detector, capfd):
    level = cv2.utils.logging.getLogLevel()
    with pytest.raises(WeightsError, match="cannot be loaded as YuNet"):
        YuNetDetector(tiny_detector)
    assert cv2.utils.logging.getLogLevel() == level
    assert capfd.readouterr() == ("", "")


@pytest.mark.data
@pytest.mark.skipif(not YUNET.exists(), reason=f"{YUNET} is absent")
class TestYuNet:
    def test_it_finds_the_face_at_every_size(self, astronaut, capfd):
        yunet = YuNetDetector(YUNET)
        pictures = [
            cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for scale in (1, 0.3, 6)
        ]
        for [face, *others], scale in zip(yunet.detect([Picture.of(p) for p in pictures]), (1, 0.3, 6), strict=True):
            assert others == []
            x, y, width, height = np.divide(face.box, scale)
            assert (abs(x + width / 2 - 225), abs(y + height / 2 - 117)) < (12, 12)
            right_eye, left_eye, nose, right_mouth, left_mouth = np.divide(face.landmarks, scale)
            assert right_eye[0] < nose[0] < left_eye[0]
            assert right_mouth[0] < left_mouth[0]
            assert right_eye[1] < nose[1] < left_mouth[1]
            assert 0.6 <= face.score <= 1
        assert capfd.readouterr() == ("", "")

    def test_small_faces_on_request(self, astronaut):
        small = Picture.of(cv2.resize(astronaut, (70, 70), interpolation=cv2.INTER_AREA))
        assert YuNetDetector(YUNET, min_face=8).detect([small])[0]
        assert YuNetDetector(YUNET).scale(2560, 1920) == 0.5


def test_annotated_landmarks_replace_those_of_their_face_alone(label, monkeypatch):
    both = {view: [seen(view, 0.9), seen(view, 0.8, OTHER_FACE)] for view in (AS_IT_IS, MIRRORED)}
    both[MIRRORED] = [seen(MIRRORED, 0.9)]
    both[TWICE] = [seen(TWICE, 0.8, OTHER_FACE)]
    people = np.array(FACE[4:], np.float64).reshape(5, 2) + np.array([0.5, -0.5])
    photo = np.full((48, 64, 3), 50, np.uint8)
    photo[:, 32:] = 200
    monkeypatch.setattr(ScriptedYuNet, "rows", both)
    labels = Teacher("yunet.onnx").label(photo, people)
    np.testing.assert_allclose(labels.faces[0, 4:14].reshape(5, 2), people, atol=1e-4)
    np.testing.assert_allclose(labels.faces[1, 4:14], OTHER_FACE[4:], atol=1e-4)


def test_five_of_68_landmarks(tmp_path):
    points = np.arange(136, dtype=np.float64).reshape(68, 2)
    (tmp_path / "a.pts").write_text("\n".join(f"{x} {y}" for x, y in points) + "\n")
    five = read_pts(tmp_path / "a.pts")
    assert five.tolist() == [[77, 78], [89, 90], [60, 61], [96, 97], [108, 109]]


@pytest.mark.parametrize("text", ["1 2\n3\n", "1 2\n", "x y\n" * 68], ids=["one number", "one line", "words"])
def test_files_of_landmarks_that_are_not(tmp_path, text):
    (tmp_path / "a.pts").write_text(text)
    with pytest.raises(DatasetError, match="numbers"):
        read_pts(tmp_path / "a.pts")
