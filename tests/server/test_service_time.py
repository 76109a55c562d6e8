import numpy as np
import pytest

from facegender.server.batcher import ServiceTimeEstimator


def test_large_photos_cost_more():
    estimator, rng = ServiceTimeEstimator(), np.random.default_rng(0)
    assert estimator.predict(3, 1000) == 0
    for _ in range(200):
        sizes = rng.choice([9_000, 60_000, 2_400_000], rng.integers(1, 17))
        seconds = 0.008 * len(sizes) + 55e-9 * sizes.sum()
        estimator.update(len(sizes), int(sizes.sum()), seconds * rng.uniform(0.8, 1.2))
    assert estimator.predict(1, 2_400_000) == pytest.approx(0.14, rel=0.15)
    assert 0 < estimator.predict(1, 9_000) < 0.03


def test_tasks_that_are_alike_have_their_mean():
    estimator = ServiceTimeEstimator()
    for seconds in (0.010, 0.012) * 100:
        estimator.update(1, 9_000, seconds)
    assert estimator.predict(4, 36_000) == pytest.approx(0.044, rel=0.05)


def test_tasks_without_bytes():
    estimator = ServiceTimeEstimator()
    estimator.update(2, 0, 0.5)
    assert estimator.predict(4, 0) == pytest.approx(1.0)
