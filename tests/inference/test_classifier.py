import hashlib
import json
import math
from decimal import Decimal

import numpy as np
import onnx
import pytest
from scipy.special import expit

from facegender.errors import InputError, WeightsError
from facegender.inference.classifier import BATCH, GenderClassifier, prediction_for


def crops_with_red(*values):
    crops = np.zeros((len(values), 64, 64, 3), np.uint8)
    crops[..., 0] = np.array(values)[:, None, None]
    return crops


def test_probabilities_come_from_the_graph(tiny_model):
    classifier = GenderClassifier(tiny_model)
    crops = crops_with_red(0, 128, 160, 255)
    predictions = classifier.predict(crops)
    expected = expit(np.array([-4, 0, 1, 127 / 32]))
    np.testing.assert_allclose(classifier.p_male(crops), expected, atol=1e-5)
    np.testing.assert_array_equal([p.p_male for p in predictions], np.round(expected, 4))
    assert [p.label for p in predictions] == ["female", "uncertain", "male", "male"]


def test_min_confidence(tiny_model):
    crops = crops_with_red(0, 160, 255)
    labels = [p.label for p in GenderClassifier(tiny_model, min_confidence=0.97).predict(crops)]
    assert labels == ["female", "uncertain", "male"]
    assert GenderClassifier(tiny_model, min_confidence=0.5).predict(crops_with_red(128))[0].label == "male"
    for impossible in (0.4, 1.1, math.nan):
        with pytest.raises(InputError, match=r"\[0.5, 1\]"):
            GenderClassifier(tiny_model, min_confidence=impossible)


def test_max_error(tmp_path, write_model):
    path = write_model(tmp_path, confidence_for_error={"0.01": 0.97, "0.05": 0.7})
    crops = crops_with_red(0, 160, 255)
    assert [p.label for p in GenderClassifier(path).predict(crops)] == ["female", "uncertain", "male"]
    assert [p.label for p in GenderClassifier(path, max_error=0.06).predict(crops)] == ["female", "male", "male"]
    with pytest.raises(InputError, match=r"error rate of 0\.001.*its rates: 0\.01, 0\.05"):
        GenderClassifier(path, max_error=0.001)
    with pytest.raises(InputError, match="cannot both be given"):
        GenderClassifier(path, max_error=0.05, min_confidence=0.9)


def test_what_is_no_probability_is_refused(tmp_path, write_model):
    path = write_model(tmp_path)
    model = onnx.load(path)
    model.graph.node.pop()
    model.graph.node[-1].output[0] = "p_male"  # the sigmoid is gone
    onnx.save(model, path)
    card = path.with_suffix(".json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": digest}))
    with pytest.raises(WeightsError, match=r"tiny\.onnx gives no probability"):
        GenderClassifier(path).p_male(crops_with_red(0, 255))


def test_no_crops(tiny_model):
    classifier = GenderClassifier(tiny_model)
    none = np.empty((0, 64, 64, 3), np.uint8)
    assert classifier.p_male(none).shape == (0,)
    assert classifier.p_male(none).dtype == np.float32
    assert classifier.predict(none) == []


def test_more_crops_than_a_batch(tiny_model):
    values = np.arange(BATCH + 3) % 256
    p_male = GenderClassifier(tiny_model).p_male(crops_with_red(*values))
    np.testing.assert_allclose(p_male, expit((values - 128) / 32), atol=1e-5)


def test_crops_need_not_be_contiguous(tiny_model):
    crops = crops_with_red(10, 20, 30, 40)
    np.testing.assert_array_equal(
        GenderClassifier(tiny_model).p_male(crops[::2]),
        GenderClassifier(tiny_model).p_male(crops[::2].copy()),
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


@pytest.mark.parametrize(
    ("p_male", "min_confidence", "shown", "label"),
    [
        (0.94696, 0.947, 0.947, "male"),  # unrounded, it is below
        (0.94694, 0.947, 0.9469, "uncertain"),
        (0.05304, 0.947, 0.053, "female"),
        (0.05306, 0.947, 0.0531, "uncertain"),
        (0.49996, 0.5, 0.5, "male"),
        (0.49994, 0.5, 0.4999, "female"),
        (0.99996, 1.0, 1.0, "male"),
        (0.0, 1.0, 0.0, "female"),
    ],
)
def test_the_label_follows_from_the_number_in_the_record(p_male, min_confidence, shown, label):
    found = prediction_for(p_male, min_confidence)
    assert (found.p_male, found.label) == (shown, label)
    assert prediction_for(found.p_male, min_confidence) == found


def test_every_label_follows_from_its_number():
    for confidence in (0.5, 0.6, 0.947, 0.9999):
        for tenth in range(100_001):
            found = prediction_for(tenth / 100_000, confidence)
            number = Decimal(repr(found.p_male))
            certain = max(number, 1 - number) >= Decimal(repr(confidence))
            assert found.label == (("male" if number >= Decimal("0.5") else "female") if certain else "uncertain")
