"""A temperature that depends on the face is found again, and leaves PyTorch."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from facegender.inference.runtime import Session
from facegender.lab.export import onnx_bytes
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.network import Network
from facegender.lab.training.calibration import (
    Calibration,
    _held_out_losses,
    _Rows,
    fit_calibration,
    out_of_fold,
)
from facegender.lab.training.model import features_and_logits, predict_logits

W = np.array([0.8, 0.0, -0.4, 0.0, 0.0])


def drawn(count, seed=0):
    """Features, logits and labels of which the truth is known: log T = W . (features - 3) / 2 + 0.7, shift -0.3."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(3, 2, (count, 5)), np.full(count, 4.0)])
    exponent = (features[:, :5] - 3) / 2 @ W + 0.7
    margin = rng.normal(0, 12, count)
    p_male = 1 / (1 + np.exp(-(margin * np.exp(-exponent) - 0.3)))
    labels = (rng.random(count) < p_male).astype(np.int64)
    common = rng.normal(0, 1, count)
    return features, np.column_stack([common, common + margin]), labels, p_male


def test_the_temperature_of_each_face_is_recovered():
    calibration = fit_calibration(*drawn(20_000)[:3])
    weight = calibration.log_temperature.weight.numpy()[0]
    assert 2 * weight[:5] == pytest.approx(W, abs=0.06)
    assert weight[5] == 0  # a feature that never moves says nothing
    assert calibration.shift.item() == pytest.approx(-0.3, abs=0.06)
    features, logits, _, p_male = drawn(2_000, seed=1)
    assert np.abs(calibration.p_male(features, logits) - p_male).mean() < 0.01
    tensors = torch.from_numpy(features.astype(np.float32)), torch.from_numpy(logits.astype(np.float32))
    assert np.allclose(calibration(*tensors).numpy(), calibration.p_male(features, logits))


def test_features_that_say_nothing_leave_one_temperature():
    _, logits, labels, _ = drawn(600)
    rng = np.random.default_rng(5)
    calibration = fit_calibration(rng.normal(0, 1, (600, 200)), logits, labels)
    assert np.abs(calibration.log_temperature.weight.numpy()).max() < 0.05


def test_weights_count_rows_and_faces_keep_rows_together():
    features, logits, labels, _ = drawn(900)
    who = np.arange(900)
    twice = fit_calibration(
        *(np.concatenate([v, v[:300]]) for v in (features, logits, labels)), faces=np.concatenate([who, who[:300]])
    )
    weighted = fit_calibration(features, logits, labels, np.where(who < 300, 2.0, 1.0), faces=who)
    assert weighted.shift.item() == pytest.approx(twice.shift.item(), abs=0.01)
    assert np.allclose(weighted.p_male(features, logits), twice.p_male(features, logits), atol=0.02)


def test_a_weight_counts_once():
    """Three of a row, and one of it that counts for three: of all ridges the same loss, wherever the folds lie."""
    features, logits, labels, _ = drawn(300, seed=4)
    weight = np.where(np.arange(300) < 60, 3.0, 1.0)
    who = np.minimum(np.arange(300) // 20, 10)  # the heavy rows are three faces of eleven
    times = weight.astype(int)
    single = _held_out_losses(_Rows.of(features, logits, labels, weight), who)
    tripled = _Rows.of(*(np.repeat(v, times, axis=0) for v in (features, logits, labels)), None)
    assert single == pytest.approx(_held_out_losses(tripled, np.repeat(who, times)), abs=1e-5)


def test_each_row_is_answered_by_a_calibration_without_its_people():
    _, logits, labels, _ = drawn(400, seed=2)
    rng = np.random.default_rng(8)
    people = rng.integers(0, 60, 400)
    # Of each person the label alone: a calibration that has seen the person knows it from the features.
    labels = rng.permutation(np.arange(60) % 2)[people]
    features = np.eye(60)[people]
    seen = fit_calibration(features, logits, labels).p_male(features, logits)
    unseen = out_of_fold(features, logits, labels, people=people)
    loss = [-np.log(np.where(labels == 1, p, 1 - p).clip(1e-9)).mean() for p in (seen, unseen)]
    assert loss[0] <= loss[1]
    # One person's rows never help another row of the same person.
    changed = labels.copy()
    changed[people == 7] = 1 - changed[people == 7]
    again = out_of_fold(features, logits, changed, people=people)
    assert np.array_equal(unseen[people == 7], again[people == 7])
    assert not np.array_equal(unseen, again)
    with pytest.raises(ValueError, match="at least 5 faces"):
        out_of_fold(features, logits, labels, people=people % 4)


def test_thresholds_of_held_out_faces_keep_what_they_promise():
    """200 faces, 40 features that mean nothing but a little: the same faces promise too much, others do not."""
    optimism, bias = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)

        def faces(count, rng=rng):
            features = rng.normal(0, 1, (count, 40))
            margin = rng.normal(0, 3, count)
            p_male = 1 / (1 + np.exp(-margin * np.exp(-0.6 * features[:, 0] - 0.5)))
            return features, np.column_stack([0 * margin, margin]), (rng.random(count) < p_male).astype(np.int64)

        features, logits, labels = faces(200)
        calibration = fit_calibration(features, logits, labels)
        p_male = {"same": calibration.p_male(features, logits), "held out": out_of_fold(features, logits, labels)}
        loss = {name: -np.log(np.where(labels == 1, p, 1 - p)).mean() for name, p in p_male.items()}
        others = faces(5000)
        p_others = calibration.p_male(*others[:2])
        loss["others"] = -np.log(np.where(others[2] == 1, p_others, 1 - p_others)).mean()
        optimism.append(loss["others"] - loss["same"])
        bias.append(loss["others"] - loss["held out"])
    assert np.mean(optimism) > 2 * abs(np.mean(bias))


def test_what_cannot_be_fitted():
    features, logits, labels, _ = drawn(30)
    with pytest.raises(ValueError, match="do not fit each other"):
        fit_calibration(features, logits[:20], labels)
    with pytest.raises(ValueError, match="finite numbers"):
        fit_calibration(np.where(features == features.max(), np.nan, features), logits, labels)
    with pytest.raises(ValueError, match="at least 3 faces"):
        fit_calibration(features, logits, labels, faces=labels)
    with pytest.raises(ValueError, match="negative"):
        fit_calibration(features, logits, labels, -np.ones(30))


def test_a_new_calibration_is_the_softmax_and_no_feature_can_break_it():
    calibration = Calibration(6)
    features, logits, _, _ = drawn(50)
    expected = torch.softmax(torch.from_numpy(logits), 1)[:, 1].numpy()
    assert np.allclose(calibration.p_male(features, logits), expected, atol=1e-6)
    fitted = fit_calibration(*drawn(900)[:3])
    extreme = fitted.p_male(features * 1e6, logits)
    assert ((extreme >= 0) & (extreme <= 1)).all()
    assert len(fitted.state_dict()) == 3


class Body(Network):
    """A layer of two outputs for something else stands after the one for the label."""

    def __init__(self):
        super().__init__(3, 64)
        self.reduced = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 7), nn.ReLU())
        self.head = nn.Linear(7, 2)
        self.glasses = nn.Linear(7, 2)

    def features(self, x):
        return self.reduced(x)


def test_the_features_are_what_the_last_layer_takes():
    torch.manual_seed(0)
    classifier = CropClassifier(Body(), (120.0,) * 3, (60.0,) * 3)
    crops = np.random.default_rng(0).integers(0, 256, (300, 64, 64, 3), dtype=np.uint8)
    index = np.arange(299, -1, -1)
    features, logits = features_and_logits(classifier, crops, index)
    assert features.shape == (300, 7)
    assert np.array_equal(logits, predict_logits(classifier, crops, index))
    last = classifier.body.head
    assert np.allclose(features @ last.weight.detach().numpy().T + last.bias.detach().numpy(), logits, atol=1e-5)
    assert not last._forward_hooks


def test_it_leaves_pytorch(tmp_path):
    features, logits, labels, _ = drawn(900)
    calibration = fit_calibration(features, logits, labels)

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.calibration = calibration

        def forward(self, both):
            return self.calibration(both[:, :6], both[:, 6:])

    both = np.column_stack([features, logits]).astype(np.float32)
    data = onnx_bytes(Graph(), torch.from_numpy(both), "both", "p_male", {0: torch.export.Dim("faces")})
    assert {n.op_type for n in onnx.load_model_from_string(data).graph.node} & {"Sigmoid", "Clip", "Exp"}
    given = Session(data).run(both[:123])
    assert given.shape == (123,)
    assert np.abs(given - calibration.p_male(features, logits)[:123]).max() < 1e-5
