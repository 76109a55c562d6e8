import numpy as np
import pytest

from facegender.lab.training.augment import augment
from facegender.lab.training.recipe import Augmentation


@pytest.fixture
def crops():
    return np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)


def test_nothing_asked_for_changes_nothing(crops):
    assert np.array_equal(augment(crops, Augmentation(), np.random.default_rng(1)), crops)


def test_flip_gives_the_crop_or_its_exact_mirror(crops):
    flipped = augment(crops, Augmentation(flip=True), np.random.default_rng(1))
    kinds = {
        "same" if np.array_equal(a, b) else "mirror" if np.array_equal(a[:, ::-1], b) else "other"
        for a, b in zip(crops, flipped, strict=True)
    }
    assert kinds == {"same", "mirror"}


def test_colour_keeps_gray_gray_and_stays_near():
    gray = np.full((20, 64, 64, 3), 100, np.uint8)
    changed = augment(gray, Augmentation(colour=0.2), np.random.default_rng(1))
    assert np.ptp(changed.astype(int), axis=-1).max() <= 1
    assert 79 <= changed.min() < 95
    assert 105 < changed.max() <= 121


def test_the_seed_alone_decides(crops):
    settings = Augmentation(True, 10.0, 0.1, 0.1, 0.3, 0.5)
    first = augment(crops, settings, np.random.default_rng(7))
    assert np.array_equal(first, augment(crops, settings, np.random.default_rng(7)))
    assert not np.array_equal(first, augment(crops, settings, np.random.default_rng(8)))
    assert first.shape == crops.shape


def test_smaller_crops_are_the_same_crops_scaled():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (3, 64, 64, 3))
    small = augment(np.ascontiguousarray(ramp), Augmentation(), np.random.default_rng(1), 32)
    assert small.shape == (3, 32, 32, 3)
    # The centre of pixel x at half size lies between pixels 2x and 2x + 1.
    assert np.abs(small[0, 5, 1:-1, 0].astype(int) - (np.arange(1, 31) * 8 + 2)).max() <= 1


def test_blur_takes_details_not_brightness(crops):
    blurred = augment(crops, Augmentation(blur=1.0), np.random.default_rng(1))
    assert (np.abs(np.diff(blurred.astype(int), axis=2)).mean((1, 2, 3)) < 80).all()
    assert np.abs(np.diff(crops.astype(int), axis=2)).mean() > 80
    assert np.allclose(blurred.mean((1, 2, 3)), crops.mean((1, 2, 3)), atol=3)


def test_a_margin_comes_into_view_where_the_border_was_mirrored():
    wide = np.zeros((30, 80, 80, 3), np.uint8)
    wide[:, 8:72, 8:72] = 200
    assert np.array_equal(augment(wide, Augmentation(), np.random.default_rng(1)), wide[:, 8:72, 8:72])
    half = augment(wide, Augmentation(), np.random.default_rng(1), 32)
    assert np.array_equal(half, wide[:, 8:40, 8:40])
    shifted = augment(wide, Augmentation(shift=0.1), np.random.default_rng(1))
    assert (shifted == 0).any((1, 2, 3)).mean() > 0.9
    assert (augment(wide[:, 8:72, 8:72], Augmentation(shift=0.1), np.random.default_rng(1)) == 200).all()


def test_wrong_landmarks_move_turn_and_scale_the_crop():
    dots = np.zeros((400, 80, 80, 3), np.uint8)
    places = np.array([(30.0, 34.0), (50.0, 34.0)])
    for x, y in places.astype(int):
        dots[:, y - 1 : y + 2, x - 1 : x + 2] = 255
    changed = augment(dots, Augmentation(jitter=0.06), np.random.default_rng(1))[..., 0].astype(float)
    halves = [changed[:, :, :32], changed[:, :, 32:]]
    y, x = np.mgrid[0:64, 0:32]
    eyes = [
        np.stack([(h * x).sum((1, 2)) / h.sum((1, 2)) + 32 * i, (h * y).sum((1, 2)) / h.sum((1, 2))], 1)
        for i, h in enumerate(halves)
    ]
    middle, apart = (eyes[0] + eyes[1]) / 2, eyes[1] - eyes[0]
    assert np.abs(middle.mean(0) - (places.mean(0) - 8)).max() < 0.5
    assert 0.2 < middle.std(0).min() < 2
    assert np.hypot(*apart.T).mean() == pytest.approx(20, abs=0.4)
    assert 1 < np.rad2deg(np.arctan2(apart[:, 1], apart[:, 0])).std() < 6


@pytest.mark.parametrize("kind", ["erase", "blur", "gray", "dark", "grain", "print", "jpeg"])
def test_each_effect_happens_as_often_as_asked(crops, kind):
    many = np.repeat(crops, 40, axis=0)
    for share in (0.0, 0.3, 1.0):
        changed = augment(many, Augmentation(**{kind: share}), np.random.default_rng(3))
        happened = (changed != many).any((1, 2, 3)).mean()
        assert happened == pytest.approx(share, abs=0.1)


def test_tilted_crops_are_turned_by_up_to_45_degrees(crops):
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (200, 64, 64, 3))
    changed = augment(np.ascontiguousarray(ramp), Augmentation(tilt=1.0), np.random.default_rng(1))[:, 24:40, 24:40, 0]
    down, along = (np.diff(changed.astype(float), axis=axis).mean((1, 2)) for axis in (1, 2))
    angles = np.rad2deg(np.arctan2(down, along))
    assert 40 < np.abs(angles).max() < 46
    assert np.abs(angles.mean()) < 6
