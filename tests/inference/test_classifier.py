import math

import numpy as np
import pytest

from facegender.errors import InputError, WeightsError
from facegender.inference.classifier import BATCH, GenderClassifier


def crops_with_red(*values):
    crops = np.zeros((len(values), 64, 64, 3), np.uint8)
    crops[..., 0] = np.array(values)[:, None, None]
    return crops


def test_softmax_with_temperature(tiny_model):
    classifier = GenderClassifier(tiny_model)
    crops = crops_with_red(0, 128, 160, 255)
    np.testing.assert_allclose(classifier.logits(crops)[:, 1], [-8, 0, 2, 127 / 16], atol=1e-4)
    predictions = classifier.predict(crops)
    expected = [1 / (1 + math.exp(-x / 2)) for x in (-8, 0, 2, 127 / 16)]
    np.testing.assert_allclose([p.p_male for p in predictions], expected, atol=1e-5)
    assert [p.label for p in predictions] == ["female", "uncertain", "male", "male"]


def test_min_confidence(tiny_model):
    crops = crops_with_red(0, 160, 255)
    labels = [p.label for p in GenderClassifier(tiny_model, min_confidence=0.97).predict(crops)]
    assert labels == ["female", "uncertain", "male"]
    assert GenderClassifier(tiny_model, min_confidence=0.5).predict(crops_with_red(128))[0].label == "male"
    for impossible in (0.4, 1.1, math.nan):
        with pytest.raises(InputError, match=r"\[0.5, 1\]"):
            GenderClassifier(tiny_model, min_confidence=impossible)


def test_extreme_logits_stay_probabilities(tmp_path, write_model):
    classifier = GenderClassifier(write_model(tmp_path, temperature=1e-6))
    assert [p.p_male for p in classifier.predict(crops_with_red(0, 255))] == [0.0, 1.0]


def test_no_crops(tiny_model):
    classifier = GenderClassifier(tiny_model)
    none = np.empty((0, 64, 64, 3), np.uint8)
    assert classifier.logits(none).shape == (0, 2)
    assert classifier.logits(none).dtype == np.float32
    assert classifier.predict(none) == []


def test_more_crops_than_a_batch(tiny_model):
    values = np.arange(BATCH + 3) % 256
    logits = GenderClassifier(tiny_model).logits(crops_with_red(*values))
    np.testing.assert_allclose(logits[:, 1], (values - 128) / 16, atol=1e-4)


def test_crops_need_not_be_contiguous(tiny_model):
    crops = crops_with_red(10, 20, 30, 40)
    np.testing.assert_array_equal(
        GenderClassifier(tiny_model).logits(crops[::2]),
        GenderClassifier(tiny_model).logits(crops[::2].copy()),
    )


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((1, 3, 64, 64), np.uint8),
        np.zeros((1, 224, 224, 3), np.uint8),
    ],
    ids=lambda crops: f"{crops.dtype} {crops.shape}",
)
def test_other_crops_are_refused(tiny_model, crops):
    with pytest.raises(InputError, match="uint8, N x 64 x 64 x 3"):
        GenderClassifier(tiny_model).predict(crops)


def test_unknown_model():
    with pytest.raises(WeightsError, match="unknown model"):
        GenderClassifier("nobody")
