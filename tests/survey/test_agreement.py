"""Agreement of labellers, against numbers worked out by hand."""

import pytest

from facegender.survey.agreement import agreement


def test_the_textbook_case():
    """Cohen's kappa of 20, 5, 10, 15: agreement 0.7, chance 0.5, kappa 0.4."""
    one = [0] * 25 + [1] * 25
    other = [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    found = agreement([dict(enumerate(one)), dict(enumerate(other))])
    assert (found.faces, found.share, found.kappa) == (50, pytest.approx(0.7), pytest.approx(0.4))


def test_where_there_is_nothing_to_agree_on():
    assert agreement([]) is None
    assert agreement([{1: 0}]) is None
    assert agreement([{1: 0}, {2: 0}]) is None
    same = agreement([{1: 0, 2: 0}, {1: 0, 2: 0}])
    assert (same.share, same.kappa) == (1.0, None)


def test_three_people_are_three_pairs():
    found = agreement([{1: 0, 2: 1}, {1: 0, 2: 1}, {1: 1, 2: None}])
    assert (found.faces, found.share) == (6, pytest.approx(1 / 3))
    assert found.kappa == pytest.approx((1.0 + -1 / 3 + -1 / 3) / 3)
