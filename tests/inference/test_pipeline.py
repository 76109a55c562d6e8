import itertools

import numpy as np
import pytest

from facegender.errors import InputError
from facegender.faces.types import Face
from facegender.inference.pipeline import CHUNK_PHOTOS, FaceAnalyzer


class Halves:
    """Takes the left third of every picture wider than 30 pixels, and the right quarter, for faces."""

    def __init__(self):
        self.batches = []

    def detect(self, images):
        self.batches.append(len(images))
        return [
            [Face((0, 0, w / 3, h), 2.0), Face((w * 3 / 4, 0, w / 4, h), 1.0)] if w > 30 else []
            for h, w in (image.shape[:2] for image in images)
        ]


@pytest.fixture
def analyzer(tiny_model):
    return FaceAnalyzer(tiny_model, detector=Halves())


def red_and_blue(width=120):
    image = np.zeros((40, width, 3), np.uint8)
    image[:, : width // 2, 0] = 255
    image[:, width // 2 :, 2] = 255
    return image


def test_one_photo(analyzer, save):
    path = save("photo.png", red_and_blue())
    result = analyzer.analyze(path)
    assert result == analyzer.analyze(str(path))
    assert (result.path, result.width, result.height, result.error) == (str(path), 120, 40, None)
    assert [r.prediction.label for r in result.faces] == ["male", "female"]


def test_arrays_and_bytes_have_no_path(analyzer, save):
    image = red_and_blue()
    from_array = analyzer.analyze(image)
    assert from_array.path == ""
    assert from_array == analyzer.analyze(save("photo.png", image).read_bytes())


def test_bad_photos_become_errors_in_their_place(analyzer, save, tmp_path):
    good = save("good.png", red_and_blue())
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty.jpg").touch()
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:60])
    photos = [
        tmp_path / "absent.jpg",
        good,
        tmp_path / "text.jpg",
        cut,
        good,
        tmp_path / "empty.jpg",
        tmp_path,
    ]
    results = list(analyzer.analyze_many(photos))
    assert [r.path for r in results] == [str(p) for p in photos]
    assert [r.error and r.error.kind for r in results] == [
        "not_found",
        None,
        "not_an_image",
        "truncated",
        None,
        "not_an_image",
        "not_found",
    ]
    assert results[1].faces == results[4].faces != ()
    assert all(str(p.name) in r.error.message for p, r in zip(photos, results, strict=True) if r.error)


def test_only_bad_photos(analyzer, tmp_path):
    assert [r.error.kind for r in analyzer.analyze_many([tmp_path / "a", tmp_path / "b"])] == ["not_found"] * 2


def test_pixel_limit(tiny_model, save):
    result = FaceAnalyzer(tiny_model, Halves(), max_pixels=10).analyze(save("photo.png", red_and_blue()))
    assert result.error.kind == "pixel_limit"


def test_answers_stay_with_their_photos_across_chunks(analyzer):
    widths = [20, 120, 25, 60, 30] * 5
    results = list(analyzer.analyze_many(red_and_blue(w) for w in widths))
    assert [r.width for r in results] == widths
    assert [len(r.faces) for r in results] == [2 if w > 30 else 0 for w in widths]
    assert all(r.faces[0].prediction.label == "male" for r in results if r.faces)
    assert all(r.faces[1].prediction.label == "female" for r in results if r.faces)
    assert max(analyzer.detector.batches) == CHUNK_PHOTOS


def test_endless_input_is_taken_a_chunk_at_a_time(analyzer):
    taken = itertools.count()
    photos = (red_and_blue() for _ in taken)
    results = list(itertools.islice(analyzer.analyze_many(photos), 3))
    assert len(results) == 3
    assert next(taken) <= CHUNK_PHOTOS


def test_large_photos_make_small_chunks(analyzer):
    large = np.zeros((3000, 4100, 3), np.uint8)
    list(analyzer.analyze_many([large, large, large]))
    assert analyzer.detector.batches == [2, 1]


def test_no_photos(analyzer):
    assert list(analyzer.analyze_many([])) == []


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda a: f"{a.dtype} {a.shape}",
)
def test_other_arrays_are_refused(analyzer, array):
    with pytest.raises(InputError, match="uint8, H x W x 3"):
        analyzer.analyze(array)


def test_one_path_for_many(analyzer):
    with pytest.raises(InputError, match="analyze"):
        list(analyzer.analyze_many("photo.jpg"))


def test_a_real_face_with_the_built_in_detector(tiny_model, astronaut):
    result = FaceAnalyzer(tiny_model).analyze(astronaut)
    x, y, width, height = result.faces[0].face.box
    assert x < 222 < x + width
    assert y < 122 < y + height
