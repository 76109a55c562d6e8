"""Agreement of labellers, against numbers worked out by hand."""

import pytest

from facegender.survey.labels import agreement


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


def test_faces_stand_for_those_of_their_stratum():
    """Four doubtful faces for 4, of which two contradict; two sure ones for 96, which agree; one with a weight."""
    one = {"a": 0, "b": 0, "c": 1, "d": 1, "e": 0, "f": 1}
    other = one | {"b": 1, "c": 0}
    strata = dict.fromkeys("abcd", ("doubt", 4.0)) | dict.fromkeys("ef", ("sure", 96.0))
    assert agreement([one, other]).share == pytest.approx(4 / 6)
    found = agreement([one, other], strata)
    assert (found.faces, found.share, found.kappa) == (6, pytest.approx(0.98), pytest.approx(0.96))
    # Only what both have looked at counts: the sure face that is left stands for all 96.
    assert agreement([one, {k: v for k, v in other.items() if k != "e"}], strata).share == pytest.approx(0.98)
    by_hand = {face: ("", 3.0 if face == "b" else 1.0) for face in one}
    assert agreement([one, other], by_hand).share == pytest.approx(4 / 8)
