"""Scales, pyramid, tiles, padding, merging and coordinates, through networks that ONNX Runtime really runs."""

import hashlib
import tracemalloc

import cv2
import numpy as np
import pytest

from facegender.errors import InputError, WeightsError
from facegender.faces.anchors import anchor_points, decode_faces
from facegender.faces.pyramid import tiles
from facegender.faces.types import Picture
from facegender.inference.detector import OnnxDetector, PyramidDetector


@pytest.fixture(scope="module")
def detector(tiny_detector):
    return OnnxDetector(tiny_detector, threads=1)


def drawn(width, height, squares, ground=60):
    """A gray picture with red squares, each given by its centre and side."""
    image = np.full((height, width, 3), ground, np.uint8)
    for x, y, side in squares:
        left, top = round(x - side / 2), round(y - side / 2)
        image[max(0, top) : top + side, max(0, left) : left + side] = (255, 0, 0)
    return image


def assert_faces(found, expected, tolerance):
    """The same faces in the same order, each place at most `tolerance` pixels off."""
    assert len(found) == len(expected), found
    for one, other in zip(found, expected, strict=True):
        assert np.abs(np.subtract(one.box, other.box)).max() <= tolerance
        assert np.abs(np.subtract(one.landmarks, other.landmarks)).max() <= tolerance
        assert 0.7 < one.score <= 1


def test_boxes_and_landmarks_in_a_small_photo(detector, block_face):
    # 490 x 250 is no multiple of 32: the filling must not move anything.
    squares = [(400, 120, 60), (100, 200, 30), (60.5, 29.5, 17)]
    [found] = detector.detect([Picture.of(drawn(490, 250, squares))])
    assert_faces(found, [block_face(*square) for square in squares], 0.3)


def test_larger_photos_are_shrunk_and_given_in_their_own_pixels(detector, block_face):
    squares = [(2000, 700, 1000), (700, 1200, 150), (3400, 1500, 54)]
    [found] = detector.detect([Picture.of(drawn(3999, 2001, squares))])
    assert_faces(found, [block_face(*square) for square in squares], 4)
    assert detector.scale(3999, 2001) == pytest.approx(1280 / 3999)
    assert detector.scale(1280, 400) == 1


@pytest.mark.parametrize("side", [13, 20, 47, 90, 150, 300, 380])
def test_every_size_of_face_is_found_once(detector, block_face, side):
    square = (501, 403, side)
    [found] = detector.detect([Picture.of(drawn(1200, 900, [square]))])
    assert_faces(found, [block_face(*square)], 0.02 * side + 0.5)


def test_small_photos_are_enlarged_and_more_if_asked(tiny_detector, block_face):
    square = (100, 60, 7)
    picture = Picture.of(drawn(180, 120, [square]))
    usual = OnnxDetector(tiny_detector)
    assert usual.detect([picture]) == [[]]
    assert usual.scale(180, 120) == 256 / 180
    assert usual.scale(120, 90) == 1.5
    close = OnnxDetector(tiny_detector, min_face=8)
    assert_faces(close.detect([picture])[0], [block_face(*square)], 0.6)
    assert close.scale(180, 120) == 2
    assert OnnxDetector(tiny_detector, min_face=1).scale(180, 120) == 2


@pytest.mark.parametrize(("width", "height"), [(700, 15_000), (15_000, 700), (200, 3000), (300, 1300)])
def test_long_photos_are_searched_as_closely_as_a_part_of_them(detector, block_face, width, height):
    long = max(width, height)
    places = [
        (width * part, height / 2) if width > height else (width / 2, height * part) for part in (0.1, 0.45, 0.99)
    ]
    side = 0.2 * min(width, height)
    squares = [(round(x), round(y), round(side * factor)) for (x, y), factor in zip(places, (1, 0.8, 0.4), strict=True)]
    [found] = detector.detect([Picture.of(drawn(width, height, squares))])
    assert_faces(found, [block_face(*square) for square in squares], 0.02 * side + 1)
    part = (4 * min(width, height), min(width, height))
    assert detector.scale(width, height) == detector.scale(*part) > detector.scale(long, long)


@pytest.mark.parametrize(
    "size", [(1, 1), (250, 250), (800, 600), (600, 2400), (1280, 320), (6000, 4000), (16_000, 4000)]
)
def test_photos_of_usual_shapes_are_looked_at_by_their_longest_side(detector, size):
    longest = max(size)
    side = min(1.5 * longest, 1280)
    assert detector.scale(*size) == (side if side < 256 else side // 32 * 32) / longest


@pytest.mark.parametrize("size", [(1, 120_000_000), (120_000_000, 1), (40, 3_000_000), (1000, 120_000)])
def test_the_longest_photos_cost_no_more_than_a_few_others(detector, size):
    scale = detector.scale(*size)
    assert max(size) * scale <= 16 * 1280
    assert size[0] * size[1] * scale**2 <= 16 * 1280 * 320


def test_min_face_leaves_smaller_ones_out(tiny_detector, block_face):
    squares = [(800, 500, 200), (200, 500, 40)]
    picture = Picture.of(drawn(1200, 900, squares))
    coarse = OnnxDetector(tiny_detector, min_face=100)
    assert_faces(coarse.detect([picture])[0], [block_face(*squares[0])], 4)
    assert coarse.scale(1200, 900) == 0.16


def test_tiles_find_every_face_once(tiny_detector, block_face):
    # A lattice whose steps are no divisor of the tiles, so that faces lie on all their borders.
    squares = [(x, y, 20) for y in range(40, 1700, 97) for x in range(40, 2300, 89)]
    [found] = OnnxDetector(tiny_detector, min_face=16).detect([Picture.of(drawn(2300, 1700, squares))])
    wanted = [block_face(*square) for square in squares]
    for faces in (found, wanted):
        faces.sort(key=lambda face: np.round(np.array(face.box) / 20).tolist())
    assert_faces(found, wanted, 0.5)


@pytest.mark.parametrize("side", [60, 100, 190, 380])
def test_large_faces_where_four_tiles_meet(tiny_detector, block_face, side):
    square = (1150, 850, side)
    [found] = OnnxDetector(tiny_detector, min_face=16).detect([Picture.of(drawn(2300, 1700, [square]))])
    assert_faces(found, [block_face(*square)], 0.02 * side)


def test_a_part_of_an_enlarged_photo_at_a_time():
    picture = Picture.of(drawn(4000, 3000, []))
    tracemalloc.start()  # NumPy tells it of its arrays
    assert sum(tile.image.size > 0 for tile in tiles(0, picture, 2.0)) > 40
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000  # the enlarged photo has 144 MB


def test_reduced_pictures_keep_the_photos_pixels(detector, block_face):
    squares = [(500, 300, 160), (900, 650, 80)]
    image = drawn(1201, 901, squares)
    half = cv2.resize(image, (601, 451), interpolation=cv2.INTER_AREA)
    [found] = detector.detect([Picture(half, 1201, 901)])
    assert_faces(found, [block_face(*square) for square in squares], 2)


def test_answers_stay_with_their_photos(detector, block_face):
    pictures, expected = [], []
    for number in range(40):  # more than go through the network at once, of three sizes
        width, height = ((300, 200), (310, 193), (90, 500))[number % 3]
        square = (45, 30 + 3 * number, 20 + 2 * (number % 3))
        pictures.append(Picture.of(drawn(width, height, [square] if number % 4 else [])))
        expected.append([block_face(*square)] if number % 4 else [])
    for found, wanted in zip(detector.detect(pictures), expected, strict=True):
        assert_faces(found, wanted, 0.4)


class Says(PyramidDetector):
    """Gives the same rows for every image."""

    def __init__(self, rows):
        super().__init__(16, 16, 0.5)
        self.rows = np.array(rows, np.float32)

    def detect_rows(self, images):
        return [self.rows] * len(images)


def row(x, y, side, score=0.9):
    return [x - side / 2, y - side / 2, side, side, *(x, y, x + 1, y, x, y + 1, x, y, x, y), score]


def test_faces_are_dropped_where_their_centre_is_not_in_the_photo():
    rows = [row(50, 5, 40), row(99.9, 79.9, 30), row(101, 40, 41), row(-1, 40, 42), row(40, 81, 43), row(50, -2, 44)]
    [found] = Says(rows).detect([Picture.of(np.zeros((80, 100, 3), np.uint8))])
    assert [round(face.box[2]) for face in found] == [40, 30]
    assert found[0].box[1] < 0


def test_of_faces_that_overlap_the_surest_is_kept():
    rows = [row(50, 40, 40, 0.6), row(52, 41, 40, 0.9), row(80, 40, 40, 0.8), row(50, 40, 12, 0.7)]
    [found] = Says(rows).detect([Picture.of(np.zeros((80, 100, 3), np.uint8))])
    assert [round(face.score, 1) for face in found] == [0.9, 0.8, 0.7]


def test_faces_that_cannot_be_cropped_are_dropped():
    one_point = [30, 30, 20, 20, *(40, 40) * 5, 0.9]
    no_number = row(50, 40, 20)
    no_number[7] = np.nan
    flat = row(50, 40, 20)
    flat[3] = 0
    assert Says([one_point, no_number, flat]).detect([Picture.of(np.zeros((80, 100, 3), np.uint8))]) == [[]]


def test_scores_below_the_least_are_dropped(tiny_detector, write_detector, tmp_path):
    # Its middle is a quarter of a cell from the cell's: score 1 - 0.3 / 4.
    picture = Picture.of(drawn(96, 96, [(46, 44, 20)]))
    usual = OnnxDetector(tiny_detector, min_face=16)
    assert usual.detect([picture])[0][0].score == pytest.approx(0.925, abs=0.01)
    assert OnnxDetector(tiny_detector, min_face=16, min_score=0.95).detect([picture]) == [[]]
    assert OnnxDetector(write_detector(tmp_path, min_score=0.94), min_face=16).detect([picture]) == [[]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (7, 5), (20, 20_000)])
def test_odd_shapes(tiny_detector, detector, shape):
    picture = Picture.of(np.zeros((*shape, 3), np.uint8))
    assert detector.detect([picture]) == [[]]
    assert OnnxDetector(tiny_detector, min_face=8).detect([picture]) == [[]]


def test_no_photos(detector):
    assert detector.detect([]) == []


@pytest.mark.parametrize("number", [{"min_face": 0}, {"min_score": 0.0}, {"min_score": 1.1}], ids=str)
def test_impossible_numbers(tiny_detector, number):
    with pytest.raises(InputError, match=r"at least 1 pixel|least score"):
        OnnxDetector(tiny_detector, **number)


def test_cells_come_level_by_level_and_row_by_row():
    centres, strides = anchor_points(32, 64)
    assert centres[:9].tolist() == [[x, 4] for x in range(4, 64, 8)] + [[4, 12]]
    assert centres[-2:].tolist() == [[16, 16], [48, 16]]
    assert strides.tolist() == [8] * 32 + [16] * 8 + [32] * 2


def test_cells_that_make_no_sense():
    cells = np.zeros((15, 21), np.float32)
    assert len(decode_faces(cells, 32, 32, 0.5)) == 0
    with pytest.raises(ValueError, match=r"\(15, 21\) values for 42 cells"):
        decode_faces(cells, 32, 64, 0.5)
    cells[0, 3], cells[7, 3] = 0.9, np.nan
    with pytest.raises(ValueError, match="no finite number"):
        decode_faces(cells, 32, 32, 0.5)


def test_networks_that_detect_nothing(tiny_detector, tiny_model, tmp_path):
    with pytest.raises(WeightsError, match=r"no such weight file: .*absent\.onnx"):
        OnnxDetector(tmp_path / "absent.onnx")
    with pytest.raises(WeightsError, match=r"tiny\.json cannot be used: it lacks min_score"):
        OnnxDetector(tiny_model)
    classifier = tmp_path / "classifier.onnx"
    classifier.write_bytes(tiny_model.read_bytes())
    card = tiny_detector.with_suffix(".json").read_text()
    digest = hashlib.sha256(classifier.read_bytes()).hexdigest()
    ours = hashlib.sha256(tiny_detector.read_bytes()).hexdigest()
    classifier.with_suffix(".json").write_text(card.replace(ours, digest))
    with pytest.raises(WeightsError, match=r"classifier\.onnx gives no faces|no detector"):
        OnnxDetector(classifier).detect([Picture.of(np.zeros((64, 64, 3), np.uint8))])


class OneWayUp(PyramidDetector):
    """Finds a red square whose upper left quarter is green: in one way up of four. Blue ones it finds in all."""

    red, otherwise = 0.95, 0.0

    def detect_rows(self, images):
        rows = []
        for image in images:
            found = []
            for colour, usual in (((255, 0, 0), self.red), ((0, 0, 255), 0.7)):
                y, x = np.nonzero((image == colour).all(2))
                if len(x) < 600:
                    continue
                left, top, side = x.min(), y.min(), x.max() + 1 - x.min()
                upright = tuple(image[top + side // 4, left + side // 4]) == (0, 255, 0)
                score = usual if upright or colour[2] else self.otherwise
                if score:
                    points = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.3, 0.8], [0.7, 0.8]]) * side + (left, top)
                    found.append([left, top, side, side, *points.ravel(), score])
            rows.append(np.array(found, np.float32).reshape(-1, 15))
        return rows


def marked(turns, blue=False, width=200, height=120):
    """A picture of that size with one square, as upright as after so many quarter turns against the clock."""
    image = np.zeros((height, width, 3), np.uint8)
    square = np.zeros((40, 40, 3), np.uint8)
    square[..., 0] = 255
    square[:20, :20] = (0, 255, 0)
    image[30:70, 50:90] = np.rot90(square, turns)
    if blue:
        image[30:70, 140:180] = (0, 0, 255)
    return image


def one_way_up(orientations, **more):
    return OneWayUp(16, 16, 0.5, orientations, **more)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("orientations", ["auto", "all"])
def test_faces_that_are_not_upright_are_found_in_the_pixels_of_the_photo(turns, orientations):
    picture = Picture.of(marked(turns))
    assert one_way_up("upright").detect([picture]) == [[]]
    [[face]] = one_way_up(orientations).detect([picture])
    assert face.box == pytest.approx((50, 30, 40, 40), abs=1.5)
    # What stands upright was turned against the clock: its head's roll is as much with the clock below zero.
    assert face.turned == -90 * turns % 360
    assert (face.roll - face.turned + 180) % 360 - 180 == pytest.approx(0, abs=1)
    eyes = np.mean(face.landmarks[:2], axis=0) - (70, 50)
    up = {1: (-1, 0), 2: (0, 1), 3: (1, 0)}[turns]
    assert eyes @ up == pytest.approx(8, abs=1.5)
    assert face.quality > 0.5


def test_other_orientations_are_searched_only_where_no_face_is_sure():
    looked = []

    class Counts(OneWayUp):
        def detect_rows(self, images):
            looked.append(len(images))
            return super().detect_rows(images)

    sure, unsure = Picture.of(marked(0)), Picture.of(np.zeros((120, 200, 3), np.uint8))
    detector = Counts(16, 16, 0.5, "auto")
    assert len(detector.detect([sure] * 3)[0]) == 1
    once = sum(looked)
    looked.clear()
    detector.detect([sure, sure, unsure])
    assert sum(looked) == once + once // 3 * 3


def test_photos_keep_their_faces_where_some_are_searched_again():
    pictures = [Picture.of(marked(turns)) for turns in (0, 2, 0, 1)]
    found = one_way_up("auto").detect(pictures)
    assert [[face.turned for face in faces] for faces in found] == [[0], [180], [0], [270]]


def test_a_face_found_in_several_ways_up_counts_once_where_it_is_surest():
    [faces] = one_way_up("auto").detect([Picture.of(marked(2, blue=True))])
    assert sorted((round(face.box[0] / 10), face.turned, round(face.score, 2)) for face in faces) == [
        (5, 180, 0.95),
        (14, 0, 0.7),
    ]


def test_a_turned_face_that_is_not_sure_counts_only_in_place_of_one_that_is_less_so():
    picture = Picture.of(marked(2))
    detector = one_way_up("auto")
    detector.red = 0.75
    assert detector.detect([picture]) == [[]]
    detector.otherwise = 0.6
    assert [(face.turned, round(face.score, 2)) for face in detector.detect([picture])[0]] == [(180, 0.75)]
    detector.red, detector.otherwise = 0.82, 0.0
    assert [face.turned for face in detector.detect([picture])[0]] == [180]


def test_turned_faces_in_the_tiles_of_a_large_photo():
    image = np.zeros((1500, 1300, 3), np.uint8)
    image[1050:1170, 900:1100] = marked(2)
    detector = OneWayUp(16, 16, 0.5, "auto")
    [[face]] = detector.detect([Picture.of(image)])
    assert face.box == pytest.approx((950, 1080, 40, 40), abs=1.5)
    assert face.turned == 180


@pytest.mark.parametrize("shape", [(960, 1280), (250, 250)])
def test_photos_without_a_face_are_turned_at_a_smaller_scale(shape):
    looked = []

    class Counts(OneWayUp):
        def detect_rows(self, images):
            looked.extend(image.size for image in images)
            return super().detect_rows(images)

    def pixels(min_face, orientations):
        looked.clear()
        empty = Picture.of(np.zeros((*shape, 3), np.uint8))
        assert Counts(16, min_face, 0.5, orientations).detect([empty]) == [[]]
        return sum(looked)

    assert pixels(None, "auto") < 1.8 * pixels(None, "upright")
    # A smallest face that is asked for is found in any way up.
    assert pixels(16, "auto") == 4 * pixels(16, "upright")


def test_what_is_found_in_a_small_turned_photo_is_found_again_in_the_large_one():
    image = np.zeros((1200, 1000, 3), np.uint8)
    image[480:840, 200:800] = np.kron(marked(1), np.ones((3, 3, 1), np.uint8))
    small = np.kron(marked(2), np.ones((2, 2, 1), np.uint8))
    pictures = [Picture.of(image), Picture.of(np.zeros_like(image)), Picture.of(small)]
    found = OneWayUp(16, None, 0.5, "auto").detect(pictures)
    assert found == OneWayUp(16, None, 0.5, "all").detect(pictures)
    assert [[face.turned for face in faces] for faces in found] == [[270], [], [180]]


def test_a_network_that_finds_faces_any_way_up_is_not_asked_again():
    class AnyWayUp(PyramidDetector):
        looked = 0

        def detect_rows(self, images):
            self.looked += len(images)
            points = np.array([[70, 80], [30, 80], [50, 60], [70, 30], [30, 30]])
            return [np.array([[0, 0, 100, 100, *points.ravel(), 0.6]], np.float32) for _ in images]

    detector = AnyWayUp(16, None, 0.5, "auto", any_way_up=True)
    [[face, *_]] = detector.detect([Picture.of(np.zeros((170, 170, 3), np.uint8))])
    assert detector.looked == 1
    assert face.turned == 180
    assert face.quality > 0.5


def test_no_such_orientations():
    with pytest.raises(InputError, match="upright, auto, all, not sideways"):
        one_way_up("sideways")


def test_a_card_says_whether_a_network_finds_faces_any_way_up(write_detector, tmp_path):
    assert not OnnxDetector(write_detector(tmp_path)).any_way_up
    assert OnnxDetector(write_detector(tmp_path, any_way_up=True)).any_way_up
