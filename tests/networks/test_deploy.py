"""Exported networks give the answers of those that were trained, in fewer steps."""

import numpy as np
import onnx
import pytest
import torch

from facegender.export import to_onnx
from facegender.inference.runtime import Session
from facegender.networks.build import build
from facegender.networks.classifier import CropClassifier
from facegender.networks.deploy import deployable
from facegender.networks.layers import Conv, Linear, Network, ReLU
from facegender.networks.registry import network


def made(name, channels=3, **options):
    """A classifier with batch normalization that has seen something, and logits far from zero."""
    torch.manual_seed(1)
    described = network(name, channels=channels, **options)
    body = build(described)
    for layer in body.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 2.0)
    mean, std = ((90.0, 110.0, 140.0), (40.0, 60.0, 70.0)) if channels == 3 else ((120.0,), (55.0,))
    return CropClassifier(body, mean, std, described.input_size).eval()


def crops(size, count=3):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "channels", "options"),
    [
        ("custom-cnn-table1", 3, {}),
        ("custom-cnn-table1", 1, {}),
        ("custom-cnn-table3", 3, {}),
        ("googlenet", 3, {"input_size": 64}),
        ("alexnet", 1, {"input_size": 67}),
    ],
)
def test_the_same_logits(name, channels, options):
    classifier = made(name, channels, **options)
    batch = torch.from_numpy(crops(classifier.size))
    with torch.inference_mode():
        expected = classifier(batch)
        torch.testing.assert_close(deployable(classifier, classifier.size)(batch), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(classifier(batch), expected)  # the original is as it was


def test_crops_that_are_enlarged_inside():
    classifier = made("alexnet", input_size=67)
    batch = torch.from_numpy(crops(64))
    with torch.inference_mode():
        torch.testing.assert_close(deployable(classifier, 64)(batch), classifier(batch), atol=1e-5, rtol=1e-4)


def test_the_file_normalises_in_its_first_convolution():
    """Bytes, a cast, then convolutions with their ReLUs: nothing else computes on whole crops."""
    classifier = made("custom-cnn-table1")
    data = to_onnx(classifier)
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert kinds[:5] == ["Transpose", "Cast", "Conv", "Relu", "MaxPool"]
    assert not {"Sub", "Div", "Mul", "BatchNormalization"} & set(kinds)
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(crops(64))).numpy()
    np.testing.assert_allclose(Session(data, threads=1).run(crops(64)), expected, atol=1e-4)


def test_a_file_for_crops_of_another_size():
    layers = (Conv("conv_1", 4, kernel=3, stride=2), ReLU(), Linear("fc_1", 2))
    classifier = CropClassifier(build(Network("small", 33, 3, 2, layers, 1)), (90.0,) * 3, (50.0,) * 3, 33).eval()
    session = Session(to_onnx(classifier, 33), threads=1)
    assert session.signature[1][1:] == [33, 33, 3]
    with torch.inference_mode():
        expected = classifier(torch.from_numpy(crops(33))).numpy()
    np.testing.assert_allclose(session.run(crops(33)), expected, atol=1e-5)
