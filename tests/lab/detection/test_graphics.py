"""Drawings without faces."""

import numpy as np
import pytest

from facegender.lab.detection.graphics import draw_graphics


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 160), (320, 32), (320, 320)])
def test_drawings_of_any_size(width, height):
    for seed in range(40):
        image = draw_graphics(np.random.default_rng(seed), width, height)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert np.array_equal(image, draw_graphics(np.random.default_rng(seed), width, height))


def test_drawings_differ():
    drawn = {draw_graphics(np.random.default_rng(seed), 64, 64).tobytes() for seed in range(40)}
    assert len(drawn) == 40
