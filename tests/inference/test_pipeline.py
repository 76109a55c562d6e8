import itertools

import numpy as np
import PIL.Image
import pytest

from facegender.errors import InputError
from facegender.faces.types import Face
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.tasks import CHUNK_PHOTOS


class Halves:
    """Takes the left third of every picture wider than 30 pixels, and the right quarter, for faces."""

    def __init__(self):
        self.batches = []

    def detect(self, pictures):
        self.batches.append(len(pictures))
        return [
            [self.face(0, p.width / 3, p.height), self.face(p.width * 3 / 4, p.width / 4, p.height)]
            if p.width > 30
            else []
            for p in pictures
        ]

    def face(self, x, width, height):
        points = ((x + a * width, b * height) for a, b in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.3, 0.8), (0.7, 0.8)))
        return Face((x, 0, width, height), tuple(points), 1.0)

    def scale(self, width, height):
        return min(1, 1280 / max(width, height))


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


def test_notes_of_a_photo_are_in_its_record_and_others_have_none(analyzer, save):
    page = PIL.Image.fromarray(red_and_blue())
    path = save("scan.tif", red_and_blue(), save_all=True, append_images=[page, page])
    record = analyzer.analyze(path).to_dict()
    assert record["notes"] == [{"kind": "pages", "message": "2 more pages of the file not analysed"}]
    assert len(record["faces"]) == 2
    assert "notes" not in analyzer.analyze(save("photo.png", red_and_blue())).to_dict()


def test_printed_photos_are_smoothed_before_the_search_and_the_record_says_so(tiny_model, save, astronaut):
    class Keeps(Halves):
        seen = ()

        def detect(self, pictures):
            self.seen = [picture.pixels for picture in pictures]
            return super().detect(pictures)

    y, x = np.mgrid[0:512, 0:512]
    lattice = 0.5 + 0.25 * (np.cos(np.pi / 2 * x) + np.cos(np.pi / 2 * y))
    dots = np.where(astronaut > 255 * lattice[..., None], 255, 0).astype(np.uint8)
    detector = Keeps()
    result = FaceAnalyzer(tiny_model, detector=detector).analyze(save("page.png", dots))
    assert [note.kind for note in result.notes] == ["screen"]
    assert (
        5
        < np.abs(np.diff(detector.seen[0].astype(int), axis=1)).max()
        < 60
        < np.abs(np.diff(dots.astype(int), axis=1)).max()
    )
    plain = FaceAnalyzer(tiny_model, detector=detector).analyze(save("photo.png", astronaut))
    assert plain.notes == ()
    np.testing.assert_array_equal(detector.seen[0], astronaut)


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
        np.zeros((4,), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
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


def red_square(width, height, x, y, side):
    image = np.full((height, width, 3), 60, np.uint8)
    image[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = (255, 0, 0)
    return image


@pytest.mark.parametrize(
    ("name", "min_face", "scale"),
    [("a.png", None, 1), ("a.jpg", None, 0.5), ("a.jpg", 100, 0.25), ("a.jpg", 300, 0.125)],
)
def test_large_jpegs_are_decoded_small_and_answered_in_full_pixels(
    name, min_face, scale, tiny_model, tiny_detector, save, block_face
):
    detector = OnnxDetector(tiny_detector, min_face=min_face)
    seen = []

    class Watched:
        scale = staticmethod(detector.scale)

        def detect(self, pictures):
            seen.extend(picture.scale for picture in pictures)
            return detector.detect(pictures)

    result = FaceAnalyzer(tiny_model, Watched()).analyze(save(name, red_square(4000, 3000, 2500, 1000, 400)))
    assert seen == [scale]
    assert (result.width, result.height) == (4000, 3000)
    [found] = result.faces
    assert np.abs(np.subtract(found.face.box, block_face(2500, 1000, 400).box)).max() < 12
    assert found.prediction.p_male > 0.5


def test_small_faces_are_cropped_from_all_the_pixels_there_are(tiny_model, tiny_detector, save):
    image = red_square(4000, 3000, 2500, 1000, 60)
    image[988:1012, 2488:2512] = (255, 0, 250)  # a detail that the crop shows
    seen = []

    class Watched(GenderClassifier):
        def p_male(self, crops):
            seen.append(crops)
            return super().p_male(crops)

    analyzer = FaceAnalyzer(detector=OnnxDetector(tiny_detector), model=tiny_model)
    analyzer.classifier = Watched(tiny_model)
    results = [analyzer.analyze(save(name, image)) for name in ("a.png", "a.jpg")]
    assert [len(r.faces) for r in results] == [1, 1]
    whole, reduced = (crops[0].astype(int) for crops in seen)
    assert np.abs(np.diff(reduced[:, :, 2], axis=1)).max() > 0.8 * np.abs(np.diff(whole[:, :, 2], axis=1)).max()


def test_a_photo_that_goes_between_its_two_readings_is_an_error(tiny_model, tiny_detector, save):
    path = save("a.jpg", red_square(4000, 3000, 2500, 1000, 60))
    detector = OnnxDetector(tiny_detector)

    class Fleeting:
        scale = staticmethod(detector.scale)

        def detect(self, pictures):
            path.unlink(missing_ok=True)
            return detector.detect(pictures)

    other = red_square(400, 300, 200, 150, 60)
    first, second = FaceAnalyzer(tiny_model, Fleeting()).analyze_many([path, other])
    assert (first.error.kind, first.faces, len(second.faces)) == ("not_found", (), 1)


def test_options_of_the_built_in_detector(tiny_model, tiny_detector, monkeypatch):
    monkeypatch.setattr("facegender.weights._FOLDER", tiny_detector.parent)
    monkeypatch.setattr("facegender.weights._DETECTOR", tiny_detector.stem)
    detector = FaceAnalyzer(tiny_model).detector
    assert (detector.min_face, detector.min_score) == (None, 0.5)
    detector = FaceAnalyzer(tiny_model, min_face=40, min_score=0.7).detector
    assert (detector.min_face, detector.min_score) == (40, 0.7)
