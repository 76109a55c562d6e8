"""Splits that depend on nothing but what is split."""

import random
from collections import Counter

import pytest

from facegender.lab.datasets.splits import hashed_splits


def test_a_key_keeps_its_split():
    keys = [f"photo {n}" for n in range(500)]
    splits = dict(zip(keys, hashed_splits(keys), strict=True))
    random.Random(1).shuffle(keys)
    assert hashed_splits(keys[:50]) == [splits[key] for key in keys[:50]]
    # Written down, so that a store made tomorrow has today's splits.
    assert hashed_splits(["Ann", "Bob", "5", "Zoë", "ß"]) == ["train", "validation", "test", "train", "validation"]


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.9, 0.1, 0.0), (0.5, 0.0, 0.5)])
def test_shares(shares):
    counts = Counter(hashed_splits(map(str, range(20_000)), shares))
    for split, share in zip(("train", "validation", "test"), shares, strict=True):
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.01)
        assert counts[split] or not share


def test_nothing_to_split():
    assert hashed_splits([]) == []
