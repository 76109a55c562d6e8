"""Scenes of painted faces: what the rows say is read again from the pixels."""

import math

import cv2
import numpy as np
import pytest

from facegender.errors import DatasetError
from facegender.faces.anchors import overlaps
from facegender.lab.detection.recipe import SceneSettings
from facegender.lab.detection.scenes import SceneMaker

CLEAN = {"as_it_is": 0.0, "occlude": 0.0, "dark": 0.0, "gray": 0.0, "blur": 0.0, "noise": 0.0, "jpeg": 0.0}
ANY_WAY = {"rotate": 0.0, "tilted": 0.0, "any_way": 1.0, "squeezed": 0.0, "graphics": 0.0}
SPOILED = dict.fromkeys(CLEAN, 1.0)
#: Colours of `conftest.COLOURS` with every channel on or off, in the order of the landmarks, and the same mirrored.
LANDMARKS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 0)]
IN_A_MIRROR = [LANDMARKS[i] for i in (1, 0, 2, 4, 3)]


def on(pixels):
    """Which channels are on, whatever the light, which always varies a little."""
    return (pixels > 80).astype(int)


def scenes(photos, count, **settings):
    maker = SceneMaker(photos, SceneSettings(**{"canvas": 256, **ANY_WAY, **CLEAN, **settings}))
    return [maker.scene(np.random.default_rng((1, number))) for number in range(count)]


def parts(scene):
    """Edges of the photos in a scene of photos with one face each; every photo gives one row, sure or not."""
    columns = math.isqrt(len(scene.faces) + len(scene.unsure))
    assert columns**2 == len(scene.faces) + len(scene.unsure)
    return np.linspace(0, len(scene.image), columns + 1).round()


def cell(edges, values):
    """Number of the part along one axis."""
    return np.searchsorted(edges, values, side="right") - 1


@pytest.mark.parametrize(
    ("face", "settings"),
    [
        ((70.5, 90, 60), {"smallest_face": 30.0}),  # shrunk and enlarged
        ((200, 130, 150), {"smallest_face": 30.0}),  # always averaged first
        ((40, 50, 30), {"smallest_face": 30.0, "any_way": 0.0}),
        ((80, 80, 60), {"as_it_is": 1.0, "smallest_face": 30.0, "largest_face": 60.0}),
        ((70.5, 90, 60), {"smallest_face": 30.0, "squeezed": 1.0}),
    ],
)
def test_landmarks_follow_the_pixels(labelled, face, settings):
    photo = labelled(face, size=(320, 260))
    mirrored, checked = [], 0
    for scene in scenes([photo], 40, **settings):
        edges = parts(scene)
        for row in scene.faces:
            points = row[4:14].reshape(5, 2)
            centre = row[:2] + row[2:4] / 2
            # What lies beyond the photo's part of the scene is hidden by another photo.
            there = (cell(edges, points - 1) == cell(edges, centre)) & (cell(edges, points + 1) == cell(edges, centre))
            there = there.all(1) & (points > 1).all(1) & (points < 255).all(1)
            x, y = points[there].astype(int).T
            colours = on(scene.image[y, x]).tolist()
            plain, turned = ([list(c[i]) for i in np.flatnonzero(there)] for c in (LANDMARKS, IN_A_MIRROR))
            assert colours in (plain, turned)
            if plain != turned:
                mirrored.append(colours == turned)
            checked += len(colours)
    assert checked > 200
    assert {True, False} == set(mirrored)


def test_places_are_exact_to_a_fraction_of_a_pixel(labelled):
    errors, areas = [], []
    for scene in scenes([labelled((80, 80, 100))], 60, smallest_face=60.0):
        [row, *others] = [*scene.faces, *scene.unsure]
        centre, side = row[:2] + row[2:4] / 2, row[2]
        if others or not len(scene.faces) or (abs(centre - 128) > 127 - 0.71 * side).any():
            continue  # only faces that are whole
        places = np.moveaxis(np.mgrid[0:256, 0:256][::-1] + 0.5, 0, 2)
        colours = on(scene.image)
        x, y = row[4:6].astype(int)
        order = LANDMARKS if tuple(colours[y, x]) == LANDMARKS[0] else IN_A_MIRROR
        for point, colour in zip(row[4:14].reshape(5, 2), order, strict=True):
            away = places - point
            # A red dot's border may look magenta: only what is near belongs to this one.
            dot = (np.hypot(away[..., 0], away[..., 1]) < 0.15 * side) & (colours == colour).all(2)
            errors.append(away[dot].mean(0))
            areas.append(dot.sum() / (math.pi * (0.09 * side) ** 2))
    assert len(errors) >= 25
    assert np.abs(np.mean(errors, axis=0)).max() < 0.1  # half a pixel would show
    assert np.abs(errors).max() < 0.3
    assert np.mean(areas) == pytest.approx(1, abs=0.12)


def test_sizes_are_spread_between_smallest_and_largest(labelled):
    faces = np.concatenate([s.faces for s in scenes([labelled((80, 80, 60))], 150, smallest_face=12, largest_face=90)])
    assert (np.abs(faces[:, 2] / faces[:, 3] - 1) < 1e-4).all()
    assert 11.99 < faces[:, 2].min() < 14
    assert 75 < faces[:, 2].max() < 90.01
    # Parts of a mosaic hold smaller ones; a log scale has half of the rest below sqrt(12 * 90) = 33.
    assert 0.4 < (faces[:, 2] < 33).mean() < 0.95


def test_photos_are_not_stretched_without_end(labelled):
    faces = np.concatenate([s.faces for s in scenes([labelled((80, 80, 20))], 40, smallest_face=10, largest_face=250)])
    assert faces[:, 2].max() == pytest.approx(60, abs=0.1)


def test_faces_cut_off_are_unsure(labelled):
    kinds = set()
    for scene in scenes([labelled((80, 80, 60))], 60, smallest_face=40.0, largest_face=200.0):
        edges = parts(scene)
        for rows, sure in ((scene.faces, True), (scene.unsure, False)):
            for row in rows:
                here = cell(edges, row[:2] + row[2:4] / 2)
                low, high = edges[here], edges[here + 1]
                seen = (np.minimum(row[:2] + row[2:4], high) - np.maximum(row[:2], low)).prod() / row[2:4].prod()
                if abs(seen - 0.6) > 0.01:  # a mosaic's parts differ by a pixel in a mirror
                    assert sure == (seen > 0.6)
                kinds.add(sure)
    assert kinds == {True, False}


def test_faces_that_become_too_small_are_unsure(labelled):
    photo = labelled((60, 60, 80), (140, 140, 20))
    sides = {True: [], False: []}
    for scene in scenes([photo], 40, smallest_face=16.0):
        sides[True] += scene.faces[:, 2].tolist()
        sides[False] += scene.unsure[:, 2].tolist()
    assert min(sides[True]) >= 0.9 * 16
    assert sum(side < 0.9 * 16 for side in sides[False]) > 20


def test_what_the_teacher_doubts_stays_unsure(labelled):
    photo = labelled((80, 80, 60))
    doubted = type(photo)(photo.file, "doubted", photo.split, photo.image, photo.unsure, photo.faces - [*[0] * 14, 0.5])
    made = scenes([photo, doubted], 40)
    faces, unsure = (np.concatenate([getattr(s, kind) for s in made]) for kind in ("faces", "unsure"))
    assert (faces[:, 14] > 0.8).all()
    assert (unsure[:, 14] < 0.5).sum() > 10 < len(faces)


def test_each_source_has_the_same_share(labelled):
    face = (80, 80, 60)
    many = [labelled(face, source="many") for _ in range(20)]
    few = labelled(face, source="few", score=0.8)
    rows = np.concatenate([np.concatenate([s.faces, s.unsure]) for s in scenes([*many, few], 100)])
    assert 0.4 < (rows[:, 14] < 0.85).mean() < 0.6


@pytest.mark.parametrize("spoiling", [CLEAN, SPOILED], ids=["clean", "spoiled"])
def test_the_generator_alone_decides(labelled, spoiling):
    photos = [labelled((80, 80, 60)), labelled(size=(90, 40)), labelled((20, 20, 30), (70, 60, 40), size=(100, 80))]
    maker = SceneMaker(photos, SceneSettings(canvas=96, **spoiling))
    before = [photo.image.copy() for photo in photos]
    one = [maker.scene(np.random.default_rng(number)) for number in range(12)]
    cv2.setRNGSeed(7)
    two = [SceneMaker(photos, SceneSettings(canvas=96, **spoiling)).scene(np.random.default_rng(n)) for n in range(12)]
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.faces, b.faces)
        assert np.array_equal(a.unsure, b.unsure)
        assert (a.image.dtype, a.image.shape) == (np.uint8, (96, 96, 3))
        assert a.faces.dtype == a.unsure.dtype == np.float32
        assert np.isfinite(a.faces).all()
    assert not np.array_equal(one[0].image, one[1].image)
    for photo, pixels in zip(photos, before, strict=True):
        assert np.array_equal(photo.image, pixels)  # the photos are spoiled in the scenes only


@pytest.mark.parametrize("kind", ["occlude", "gray", "dark", "blur", "noise", "jpeg"])
def test_spoiling_changes_pixels_and_no_places(labelled, kind):
    photos = [labelled((80, 80, 60))]
    for clean, spoiled in zip(scenes(photos, 6), scenes(photos, 6, **{kind: 1.0}), strict=True):
        assert not np.array_equal(clean.image, spoiled.image) or not len(clean.faces)
        if kind == "gray":
            assert (np.ptp(spoiled.image, axis=2) == 0).all()
        if kind != "occlude":  # which draws numbers before the scene is mirrored
            assert np.array_equal(clean.faces, spoiled.faces)


def test_covered_faces_stay_where_they_are(labelled):
    for scene in scenes([labelled((80, 80, 60))], 20, occlude=1.0):
        for row in scene.faces:
            assert (overlaps(row[:4], scene.faces[:, :4]) > 0.99).sum() == 1


def test_faces_larger_than_a_part_of_a_mosaic(labelled):
    # A quarter of 64 pixels has no room for 30: the smallest size there is.
    rows = scenes([labelled((80, 80, 60))], 30, canvas=64, smallest_face=30.0, largest_face=60.0)
    assert max(len(scene.unsure) + len(scene.faces) for scene in rows) == 16


def test_no_face_at_all(labelled):
    with pytest.raises(DatasetError, match="no face"):
        SceneMaker([labelled()], SceneSettings())
    with pytest.raises(DatasetError, match="no face"):
        SceneMaker([], SceneSettings())
