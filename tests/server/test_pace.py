import numpy as np
import pytest

from facegender.server.pace import Pace


def test_large_photos_cost_more():
    pace, rng = Pace(), np.random.default_rng(0)
    assert pace.seconds(3, 1000) == 0
    for _ in range(200):
        sizes = rng.choice([9_000, 60_000, 2_400_000], rng.integers(1, 17))
        seconds = 0.008 * len(sizes) + 55e-9 * sizes.sum()
        pace.learn(len(sizes), int(sizes.sum()), seconds * rng.uniform(0.8, 1.2))
    assert pace.seconds(1, 2_400_000) == pytest.approx(0.14, rel=0.15)
    assert 0 < pace.seconds(1, 9_000) < 0.03


def test_tasks_that_are_alike_have_their_mean():
    pace = Pace()
    for seconds in (0.010, 0.012) * 100:
        pace.learn(1, 9_000, seconds)
    assert pace.seconds(4, 36_000) == pytest.approx(0.044, rel=0.05)


def test_tasks_without_bytes():
    pace = Pace()
    pace.learn(2, 0, 0.5)
    assert pace.seconds(4, 0) == pytest.approx(1.0)
