import numpy as np
import pytest

from facegender.inference.classifier import prediction_for
from facegender.lab.evaluation.metrics import (
    accuracy_interval,
    answered,
    confidence_for_error,
    expected_calibration_error,
    is_answered,
    measure,
    p_male_from_logits,
    wilson_interval,
)
from facegender.lab.export.measure import thresholds


def test_measures_of_a_small_confusion():
    # 4 men, 3 of them found; 6 women, 2 of them called male.
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    p_male = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.55, 0.1, 0.1, 0.1, 0.1])
    metrics = measure(labels, p_male)
    assert metrics.count == 10
    assert metrics.accuracy == pytest.approx(0.7)
    assert metrics.tpr == pytest.approx(3 / 4)
    assert metrics.fpr == pytest.approx(2 / 6)
    assert metrics.precision == pytest.approx(3 / 5)
    assert metrics.female_accuracy == pytest.approx(4 / 6)
    assert metrics.balanced_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert metrics.auc == pytest.approx(22 / 24)


def test_one_label_has_no_measures():
    with pytest.raises(ValueError, match="both labels"):
        measure(np.array([1, 1]), np.array([0.2, 0.9]))


def test_wilson_interval_against_the_textbook():
    # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_probabilities_of_logits_and_their_calibration_error():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 3, 40_000)
    labels = (rng.random(margin.size) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    logits = np.column_stack([np.zeros_like(margin), margin])
    assert expected_calibration_error(labels, p_male_from_logits(logits)) < 0.01
    assert expected_calibration_error(labels, p_male_from_logits(2.5 * logits)) > 0.03


def test_confidence_keeps_the_error_rate():
    rng = np.random.default_rng(1)
    p_male = rng.random(20_000)
    labels = (rng.random(p_male.size) < p_male).astype(np.int64)
    confidence = confidence_for_error(labels, p_male, 0.05)
    answered = np.maximum(p_male, 1 - p_male) >= confidence
    error = ((p_male >= 0.5) != (labels == 1))[answered].mean()
    assert 0.04 < error <= 0.05
    # Equal confidences stand or fall together.
    tied = np.full(110, 0.9)
    assert confidence_for_error((np.arange(110) < 99).astype(np.int64), tied, 0.05) == 1.0
    assert confidence_for_error(np.array([0, 0]), np.array([0.9, 0.8]), 0.01) == 1.0


def test_confidence_of_weighted_faces():
    """Few faces of a hard set that count as much as many of an easy one, and no surer than they are."""
    rng = np.random.default_rng(5)
    p_male = rng.random(4_000)
    wrong = rng.random(p_male.size) < np.where(np.arange(4_000) < 400, 1, 0.1) * np.minimum(p_male, 1 - p_male)
    labels = ((p_male >= 0.5) != wrong).astype(np.int64)
    weights = np.where(np.arange(4_000) < 400, 5.0, 5 / 9)
    confidence = confidence_for_error(labels, p_male, 0.05, weights)
    given = np.maximum(p_male, 1 - p_male) >= confidence
    assert np.average(wrong[given], weights=weights[given]) <= 0.05
    assert confidence > confidence_for_error(labels, p_male, 0.05)
    # Equal weights are none.
    assert confidence_for_error(labels, p_male, 0.05, np.full(4_000, 3.0)) == confidence_for_error(labels, p_male, 0.05)
    # Two faces that outweigh a thousand say as little as two faces.
    heavy = np.where(np.arange(1_000) < 2, 1e6, 1.0)
    assert confidence_for_error(np.ones(1_000, np.int64), np.full(1_000, 0.9), 0.05, heavy) == 1.0


def test_an_interval_of_people():
    right = np.array([True] * 90 + [False] * 10)
    alone = accuracy_interval(right)
    assert alone == pytest.approx(wilson_interval(90, 100), abs=1e-12)
    assert accuracy_interval(right, [""] * 100) == alone
    assert accuracy_interval(right, [f"p{i}" for i in range(100)]) == alone
    # The unknown are people of their own, whatever others are called.
    assert accuracy_interval(right, [""] * 98 + ["0", "1"]) == alone
    # Twice the same photos say as much as once, given a little for 50 people whose variance is estimated.
    pairs = [f"p{i // 2}" for i in range(200)]
    low, high = accuracy_interval(np.repeat(right, 2), pairs)
    assert (low, high) == pytest.approx(alone, abs=0.004)
    assert (low, high) != pytest.approx(wilson_interval(180, 200), abs=0.01)
    # Nobody is like another: photos of one person say nothing of others.
    assert accuracy_interval(right, ["one"] * 100) == (0.0, 1.0)


def test_an_interval_where_nothing_varies():
    everything = np.ones(100, bool)
    low, high = accuracy_interval(everything, [f"p{i // 10}" for i in range(100)])
    assert high == 1.0
    assert low < wilson_interval(10, 10)[0] + 1e-9  # ten people, no more
    assert accuracy_interval(~everything, [f"p{i // 10}" for i in range(100)])[0] == 0.0


@pytest.mark.parametrize(("people", "tail"), [(40, 2.0), (400, 2.2)])
def test_intervals_hold_for_other_people(people, tail):
    """As in LFW: most people have one photo, some have dozens, and some people are hard."""
    rng = np.random.default_rng(7)
    held = independent = 0
    for _ in range(200):
        photos = np.minimum(rng.zipf(tail, people), 60)
        easy = rng.beta(4.5, 0.5, people)
        right = np.concatenate([rng.random(count) < p for count, p in zip(photos, easy, strict=True)])
        low, high = accuracy_interval(right, np.repeat(np.arange(people), photos).astype(str).tolist())
        held += low <= 0.9 <= high
        low, high = wilson_interval(int(right.sum()), len(right))
        independent += low <= 0.9 <= high
    assert held >= 180
    assert independent <= 160


def test_a_face_is_answered_by_the_number_that_is_shown():
    p_male = np.array([0.95225, 0.95226, 0.9523, 0.04774, 0.04775, 0.04776, 0.5])
    shown = [prediction_for(p, 0.9523).label != "uncertain" for p in p_male.tolist()]
    assert is_answered(p_male, 0.9523).tolist() == shown
    assert is_answered(p_male.astype(np.float32), 0.9523)[1:3].tolist() == [True, True]
    assert is_answered(p_male, 0.5).all()


def test_thresholds_are_of_the_numbers_that_are_shown():
    """The least confidence has the four digits of a record, and all faces that reach it were counted."""
    rng = np.random.default_rng(3)
    p_male = rng.beta(0.2, 0.2, 20_000)
    labels = (rng.random(20_000) < p_male).astype(int)
    for rate, confidence in thresholds(labels, p_male).items():
        assert confidence == round(confidence, 4)
        coverage, error = answered(labels, p_male, confidence)
        assert coverage > 0
        assert error <= float(rate)
    # Equal numbers, one of a man and one of a woman, stand or fall together.
    mirrored = np.where(np.arange(2000) % 2, 0.9, 0.1)
    truth = np.where(np.arange(2000) % 2, np.arange(2000) % 10 > 2, 0)
    assert confidence_for_error(truth, mirrored, 0.05) == 1.0
