"""Random effects between sets: recovered where they are known, and intervals that hold because of them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from facegender.survey.effects import SetCounts, effects, logits, plausibility, tilt
from facegender.survey.estimate import survey
from facegender.survey.rates import QUALITIES, SCORES, ErrorRates
from facegender.survey.results import Results

MIDDLES = np.convolve(SCORES, [0.5, 0.5], "valid")
SHAPE = len(QUALITIES) - 1, len(SCORES) - 1
#: What women's and men's faces look like; men's the other way round.
FEMALE = np.tile(np.array([40, 15, 10, 8, 7, 5, 4, 4, 3, 2, 1, 1]) / 100, (SHAPE[0], 1))
MALE = FEMALE[:, ::-1]


def tilted(histogram, value):
    some = histogram * np.exp(value * logits(MIDDLES))
    return some / some.sum(axis=1, keepdims=True)


def counts(histogram, faces, rng):
    return rng.multinomial(faces, (histogram / len(histogram)).ravel()).reshape(SHAPE)


def made_sets(tilts, rng, faces=2000, versions=("colour", "gray"), spread=0.0):
    """One set for each pair of tilts; versions differ by `spread`."""
    sets = []
    for number, pair in enumerate(tilts):
        for version in versions:
            a, b = np.asarray(pair) + spread * rng.standard_normal(2)
            women, men = counts(tilted(FEMALE, a), faces, rng), counts(tilted(MALE, b), faces, rng)
            sets.append(SetCounts(f"set {number}", version, women, men))
    return tuple(sets)


def made_rates(sets):
    women, men = (np.sum([getattr(some, word) for some in sets], axis=0) for word in ("female", "male"))
    about = {"model": "tiny", "sha256": "ab" * 32, "detector": "", "source": "made", "command": "pytest"}
    return ErrorRates(scores=SCORES, qualities=QUALITIES, female=women, male=men, not_found=(0, 0), **about, sets=sets)


def made_collection(prevalence, tilts, faces, rng):
    women = rng.binomial(faces, prevalence)
    table = counts(tilted(FEMALE, tilts[0]), women, rng) + counts(tilted(MALE, tilts[1]), faces - women, rng)
    quality, score = np.divmod(np.repeat(np.arange(table.size), table.ravel()), SHAPE[1])
    photos = pd.DataFrame({"path": [f"{i}.jpg" for i in range(faces)], "weight": 1.0, "error_kind": None})
    rows = {"photo": range(faces), "face": 0, "quality": np.array(QUALITIES)[quality], "p_male": MIDDLES[score]}
    return Results("photos", photos, pd.DataFrame(rows).assign(label="uncertain", seconds=1.0), [])


@pytest.mark.parametrize("value", [-1.5, -0.3, 0.0, 0.8])
def test_a_tilt_is_recovered_within_its_error(value):
    found, variance = tilt(counts(tilted(FEMALE, value), 5000, np.random.default_rng(0)), FEMALE, MIDDLES)
    assert abs(found - value) < 4 * variance**0.5 < 0.3


def test_the_variation_between_and_within_sets_is_recovered():
    rng = np.random.default_rng(1)
    pairs = rng.multivariate_normal([0, 0], [[0.25, -0.1], [-0.1, 0.16]], 60)
    found = effects(made_sets(pairs, rng, spread=0.2, versions=("colour", "gray", "grain")), FEMALE, MALE, MIDDLES)
    np.testing.assert_allclose(found.between, [[0.25, -0.1], [-0.1, 0.16]], atol=0.09)
    np.testing.assert_allclose(found.within, np.diag([0.04, 0.04]), atol=0.015)
    drawn = found.drawn(20_000, rng)
    np.testing.assert_allclose(np.cov(drawn.T), found.between + found.within, atol=0.03)


def test_sets_that_do_not_differ_leave_the_interval_as_narrow_as_one_set():
    rng = np.random.default_rng(2)
    rates = made_rates(made_sets([(0, 0)] * 6, rng, faces=4000))
    some = made_collection(0.4, (0, 0), 800, rng)
    one, several = (survey(some, each, replicates=400).everyone for each in (replace(rates, sets=()), rates))
    assert several.women_low < 0.4 < several.women_high
    assert several.women_high - several.women_low < 1.35 * (one.women_high - one.women_low)


def test_intervals_hold_for_collections_that_differ_as_the_sets_do():
    """Of 40 populations of 6 sets; error rates that know nothing of sets hold in far fewer cases."""
    held = {"sets": 0, "pooled": 0}
    for number in range(40):
        rng = np.random.default_rng(number)
        pairs = 0.6 * rng.standard_normal((6, 2))
        rates = made_rates(made_sets(pairs, rng, faces=800, spread=0.2))
        some = made_collection(0.3, 0.6 * rng.standard_normal(2) + 0.2 * rng.standard_normal(2), 500, rng)
        for name, each in (("sets", rates), ("pooled", replace(rates, sets=()))):
            row = survey(some, each, replicates=300, seed=number).everyone
            held[name] += row.women_low <= 0.3 <= row.women_high
            assert row.women_low <= row.women <= row.women_high
    assert held["sets"] >= 35
    assert held["pooled"] <= 32


def test_draws_that_explain_the_scores_weigh_more():
    near, far = tilted(FEMALE, 0.0), tilted(FEMALE, 2.0)
    weights = plausibility(1000 * FEMALE / 4, 1000, np.ones((2, 4)), np.stack([near, far]), np.stack([MALE, MALE]))
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 10 * weights[1] > 0
    more = plausibility(1e6 * FEMALE / 4, 1e6, np.ones((2, 4)), np.stack([near, far]), np.stack([MALE, MALE]))
    assert more == pytest.approx(
        plausibility(300 * FEMALE / 4, 300, np.ones((2, 4)), np.stack([near, far]), np.stack([MALE, MALE]))
    )  # however many faces: a tilt is not all that real histograms differ in


def test_sets_are_kept_in_the_file_and_absent_without():
    rates = made_rates(made_sets([(0, 0), (1, 0)], np.random.default_rng(0)))
    again = ErrorRates.from_dict(json.loads(json.dumps(rates.to_dict())))
    assert [(some.name, some.version) for some in again.sets] == [
        *(("set 0", "colour"), ("set 0", "gray"), ("set 1", "colour"), ("set 1", "gray"))
    ]
    for one, other in zip(
        again.drawn(5, np.random.default_rng(1)), rates.drawn(5, np.random.default_rng(1)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert "sets" not in replace(rates, sets=()).to_dict()


def test_sets_that_cannot_be_compared():
    rng = np.random.default_rng(0)
    both = made_sets([(0, 0), (1, 0)], rng)
    for sets in (both[:2], both[:3], (*both[:3], both[0])):
        with pytest.raises(ValueError, match="two or more sets"):
            effects(sets, FEMALE, MALE, MIDDLES)
    with pytest.raises(ValueError, match="counts must be"):
        replace(made_rates(both), sets=(replace(both[0], female=both[0].female[:1]), *both[1:]))


@pytest.mark.parametrize("unit", ["faces", "photos"])
def test_photos_and_groups_know_of_sets_too(unit):
    rng = np.random.default_rng(4)
    wide = made_rates(made_sets(0.8 * rng.standard_normal((5, 2)), rng))
    some = made_collection(0.5, (0, 0), 300, rng)
    some.photos["part"] = ["a"] * 150 + ["b"] * 150
    one, several = (
        survey(some, each, unit=unit, group_by=["part"], replicates=300) for each in (replace(wide, sets=()), wide)
    )
    for narrow, row in zip([one.everyone, *one.groups], [several.everyone, *several.groups], strict=True):
        assert row.women_high - row.women_low > narrow.women_high - narrow.women_low
        assert row.women_low <= row.women <= row.women_high
