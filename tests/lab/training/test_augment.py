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
