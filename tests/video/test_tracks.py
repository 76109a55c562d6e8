"""Scenes, and which face goes on as which."""

import numpy as np
import pytest

from facegender.faces.types import Face
from facegender.video.answer import combined
from facegender.video.tracks import Detection, Tracker, histogram, is_cut, suppress_overlaps

RED, BLUE = (np.eye(192)[0] * 3).astype(np.float32), (np.eye(192)[100] * 3).astype(np.float32)
GRAY = histogram(np.full((90, 160, 3), 90, np.uint8))


def face(x, y=50.0, side=20.0, score=0.95):
    spots = ((-4, -4), (4, -4), (0, 0), (-3, 4), (3, 4))
    return Face((x - side / 2, y - side / 2, side, side), tuple((x + a, y + b) for a, b in spots), score)


def follow(frames, span=0.5, colours=None):
    """The middles of each track's faces, from lists of (face, look) at every frame."""
    tracker = Tracker()
    for number, seen in enumerate(frames):
        faces = [Detection(found, 0.9, look) for found, look in seen]
        tracker.add(number * span, span, faces, GRAY if colours is None else colours[number])
    tracks = tracker.finish()
    return [[s.face.box[0] + s.face.box[2] / 2 for s in track] for track in tracks], tracker.dropped


def test_two_faces_that_cross_stay_themselves():
    paths = [[(face(20 + 10 * i), RED), (face(120 - 10 * i), BLUE)] for i in range(11)]
    tracks, _ = follow(paths, span=0.2)
    assert tracks == [[20 + 10 * i for i in range(11)], [120 - 10 * i for i in range(11)]]


def test_a_gap_of_a_second_is_bridged_and_a_longer_one_is_not():
    here, gone = [(face(50), RED)], []
    assert len(follow([here, gone, gone, here])[0]) == 1
    assert len(follow([here, here, gone, gone, gone, here, here])[0]) == 2


def test_another_face_in_the_same_place_is_another_track():
    tracks, _ = follow([[(face(50), RED)]] * 3 + [[(face(50), BLUE)]] * 3)
    assert [len(track) for track in tracks] == [3, 3]


def test_a_jump_across_the_picture_is_another_track():
    tracks, _ = follow([[(face(50), RED)]] * 3 + [[(face(150), RED)]] * 3)
    assert len(tracks) == 2


def test_a_doubtful_face_alone_in_its_scene_is_dropped():
    empty, doubtful, sure = [], [(face(50, score=0.7), RED)], [(face(50, score=0.9), RED)]
    assert follow([empty, doubtful, empty]) == ([], 1)
    assert follow([empty, sure, empty]) == ([[50.0]], 0)
    assert follow([empty, doubtful, doubtful]) == ([[50.0, 50.0]], 0)
    assert follow([doubtful]) == ([[50.0]], 0)  # nothing speaks against it in a film of one frame


def test_of_two_faces_in_one_place_the_surer_stays():
    large, within, beside = face(50, side=60, score=0.9), face(45, side=30, score=0.7), face(100, side=30, score=0.7)
    assert suppress_overlaps([large, within, beside]) == [large, beside]
    assert suppress_overlaps([face(50, side=60, score=0.6), within]) == [within]


def test_tracks_end_at_cuts():
    dark = histogram(np.full((90, 160, 3), (10, 40, 90), np.uint8))
    tracks, _ = follow([[(face(50), RED)]] * 4, colours=[GRAY, GRAY, dark, dark])
    assert [len(track) for track in tracks] == [2, 2]


def test_a_pan_is_no_cut_and_another_photo_is(astronaut, noise):
    one, moved = histogram(astronaut[:400, :400]), histogram(astronaut[40:440, 60:460])
    brighter = histogram((astronaut[:400, :400] * 0.96).astype(np.uint8))
    assert not is_cut(one, moved)
    assert not is_cut(one, brighter)
    assert is_cut(one, histogram(noise))
    assert one.sum() == pytest.approx(1)


class TestTheAnswerToATrack:
    def test_one_frame_keeps_its_own_answer(self):
        for p in (0.02, 0.5, 0.9):
            assert combined([p], [0.3]) == pytest.approx(p)

    def test_frames_add_little_but_something(self):
        many = combined([0.9] * 1000, [1.0] * 1000)
        odds = np.log(many / (1 - many)) / np.log(9)
        assert 1 < odds < 1 / 0.9

    def test_the_extremes_are_the_product_and_the_mean(self):
        assert combined([0.9, 0.9], [1, 1], correlation=0.0) == pytest.approx(81 / 82)
        for p, sure in ((0.999, 1.0), (0.001, 0.0), (0.5, 0.5)):
            assert combined([p] * 5000, [1.0] * 5000, correlation=0.0) == pytest.approx(sure)
        assert combined([0.9, 0.9], [1, 1], correlation=1.0) == pytest.approx(0.9)

    def test_better_faces_count_for_more(self):
        assert combined([0.9, 0.2], [1.0, 0.2]) > 0.6
        assert combined([0.9, 0.2], [0.2, 1.0]) < 0.4

    def test_it_is_never_beyond_what_was_measured(self):
        assert 0.999 < combined([1.0] * 50, [1.0] * 50) < 0.9996
        assert combined([0.0, 1.0], [0.0, 0.0]) == pytest.approx(0.5)
