"""Effects of archives on pictures."""

import numpy as np
import pytest

from facegender.lab import effects


@pytest.fixture
def picture():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    return np.stack([np.tile(ramp, (48, 1)), np.tile(ramp[::-1], (48, 1)), np.full((48, 64), 90, np.uint8)], 2)


@pytest.fixture
def every(picture):
    def run(seed):
        rng = np.random.default_rng(seed)
        return {
            "gray": effects.gray(picture),
            "sepia": effects.sepia(picture, 0.8),
            "shrunk": effects.shrunk(picture, 12),
            "blurred": effects.blurred(picture, 1.5),
            "shaken": effects.shaken(picture, 7, 30.0),
            "compressed": effects.compressed(picture, 30),
            "dark": effects.dark(picture, 0.4),
            "noisy": effects.noisy(picture, 9.0, rng),
            "grainy": effects.grainy(picture, 9.0, 1.6, rng),
            "screened": effects.screened(picture, 4.0, 30.0),
            "printed": effects.printed(picture, rng),
        }

    return run


def test_shape_kind_and_the_picture_itself_stay(every, picture):
    before = picture.copy()
    for name, changed in every(1).items():
        assert (changed.shape, changed.dtype) == (picture.shape, np.uint8), name
        assert not np.array_equal(changed, picture), name
    assert np.array_equal(picture, before)


def test_the_seed_alone_decides(every):
    first, again, other = every(1), every(1), every(2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    differ = {name for name in first if not np.array_equal(first[name], other[name])}
    assert differ == {"noisy", "grainy", "printed"}


def test_prints_and_black_and_white_have_no_colour(every):
    for name in ("gray", "screened", "printed"):
        assert np.ptp(every(1)[name].astype(int), axis=2).max() == 0, name


@pytest.mark.parametrize("tone", [25, 64, 128, 191, 230])
@pytest.mark.parametrize("period", [3.0, 6.0, 10.0])
def test_a_screen_keeps_the_tone(tone, period):
    flat = np.full((240, 240, 3), tone, np.uint8)
    for angle in (0.0, 15.0, 45.0):
        assert effects.screened(flat, period, angle).mean() == pytest.approx(tone, abs=14)


def test_a_screen_has_its_period():
    screen = effects.screened(np.full((256, 256, 3), 128, np.uint8), 8.0, 0.0)[..., 0].astype(float)
    spectrum = np.abs(np.fft.rfft(screen - screen.mean(1, keepdims=True), axis=1)).sum(0)
    assert spectrum.argmax() == 256 / 8
