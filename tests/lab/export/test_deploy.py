"""Exported networks give the answers of those that were trained, in fewer steps."""

import numpy as np
import onnx
import pytest
import torch

from facegender.errors import WeightsError
from facegender.inference.runtime import Session
from facegender.lab.export import to_onnx
from facegender.lab.export.deploy import Deployed
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import network


def made(name, channels=3, **options):
    """A classifier with batch normalization that has seen something, and logits far from zero."""
    torch.manual_seed(1)
    body = network(name, channels=channels, **options)
    for layer in body.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 2.0)
    mean, std = ((90.0, 110.0, 140.0), (40.0, 60.0, 70.0)) if channels == 3 else ((120.0,), (55.0,))
    return CropClassifier(body, mean, std, body.input_size).eval()


def crops(size, count=3):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def p_male(classifier, batch):
    return classifier(batch).softmax(1)[:, 1]


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
        deployed = Deployed(classifier, classifier.size)
        torch.testing.assert_close(deployed.logits(deployed.features(batch)), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(deployed(batch), expected.softmax(1)[:, 1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(classifier(batch), expected)  # the original is as it was


def test_crops_that_are_enlarged_inside():
    classifier = made("alexnet", input_size=67)
    batch = torch.from_numpy(crops(64))
    with torch.inference_mode():
        torch.testing.assert_close(Deployed(classifier, 64)(batch), p_male(classifier, batch), atol=1e-5, rtol=1e-4)


def test_the_file_normalises_in_its_first_convolution():
    """Bytes, a cast, then convolutions with their ReLUs: nothing else computes on whole crops."""
    classifier = made("custom-cnn-table1")
    data = to_onnx(classifier)
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert kinds[:5] == ["Transpose", "Cast", "Conv", "Relu", "MaxPool"]
    assert kinds[-4:] == ["Gather", "Gather", "Sub", "Sigmoid"]
    assert not {"Sub", "Div", "Mul", "BatchNormalization"} & set(kinds[:-4])
    with torch.inference_mode():
        expected = p_male(classifier, torch.from_numpy(crops(64))).numpy()
    np.testing.assert_allclose(Session(data, threads=1).run(crops(64)), expected, atol=1e-4)


class Residual(torch.nn.Sequential):
    """x + branch(x), with batch normalization in the branch and no ReLU at the end."""

    def __init__(self, channels):
        super().__init__(
            torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(channels),
            torch.nn.ReLU(inplace=True),
            torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return x + super().forward(x)


class FlatterForSome(torch.nn.Module):
    """A calibration: the probability depends on a feature."""

    def forward(self, features, logits):
        return torch.sigmoid((logits[:, 1] - logits[:, 0]) * torch.exp(-features[:, 0]))


class Body(Network):
    """Residual, with heads for something else, which training may have."""

    def __init__(self):
        super().__init__(3, 64)
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
        self.block, self.dropout = Residual(8), torch.nn.Dropout(0.5)
        self.age, self.head, self.race = torch.nn.Linear(8, 9), torch.nn.Linear(8, 2), torch.nn.Linear(8, 7)

    def features(self, x):
        x = torch.relu(self.block(self.stem(x)))
        return self.dropout(torch.nn.functional.avg_pool2d(x, (x.shape[2], x.shape[3])).flatten(1))


def residual():
    torch.manual_seed(2)
    body = Body()
    for layer in body.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 2.0)
    return CropClassifier(body, (90.0, 110.0, 140.0), (40.0, 60.0, 70.0)).eval()


def test_residual_blocks_and_calibration():
    classifier = residual()
    data = to_onnx(classifier, calibration=FlatterForSome())
    graph = onnx.load_from_string(data).graph
    kinds = [node.op_type for node in graph.node]
    assert [list(constant.dims) for constant in graph.initializer if constant.dims[:1] in ([7], [9])] == []
    assert kinds[:4] == ["Transpose", "Cast", "Conv", "Relu"]  # it normalises too
    assert kinds[4:12] == ["Conv", "Relu", "Conv", "Add", "Relu", "AveragePool", "Reshape", "Gemm"]
    batch = torch.from_numpy(crops(64))
    with torch.inference_mode():
        features = classifier.body.features((batch.permute(0, 3, 1, 2) - classifier.mean) / classifier.std)
        expected = FlatterForSome()(features, classifier(batch)).numpy()
    np.testing.assert_allclose(Session(data, threads=1).run(crops(64)), expected, atol=1e-5)


def test_a_module_without_features_and_head():
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64 * 64 * 3, 2), torch.nn.Softmax(1))
    with pytest.raises(WeightsError, match=r"features and a head.*Sequential"):
        Deployed(CropClassifier(body, (0.0,) * 3, (1.0,) * 3), 64)


class Small(Network):
    """For crops of 33 pixels."""

    def __init__(self):
        super().__init__(3, 33)
        self.conv, self.head = torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.Linear(4 * 16 * 16, 2)

    def features(self, x):
        return torch.relu(self.conv(x)).flatten(1)


def test_a_file_for_crops_of_another_size():
    classifier = CropClassifier(Small(), (90.0,) * 3, (50.0,) * 3, 33).eval()
    session = Session(to_onnx(classifier, 33), threads=1)
    assert session.signature[1][1:] == [33, 33, 3]
    with torch.inference_mode():
        expected = p_male(classifier, torch.from_numpy(crops(33))).numpy()
    np.testing.assert_allclose(session.run(crops(33)), expected, atol=1e-5)


@pytest.fixture(scope="module", params=["residual", "custom-cnn-table1"])
def mirrored(request):
    classifier = made(request.param)
    classifier.mirror = True
    return classifier, Session(to_onnx(classifier))


@pytest.mark.parametrize("count", [1, 5])
def test_a_crop_and_its_mirror_image(mirrored, count):
    classifier, session = mirrored
    classifier.mirror = False
    batch = torch.from_numpy(crops(64, count))
    with torch.inference_mode():
        expected = (classifier(batch) + classifier(batch.flip(2))) / 2
        classifier.mirror = True
        torch.testing.assert_close(classifier(batch), expected, atol=1e-5, rtol=1e-4)
    for shown in (batch, batch.flip(2)):
        given = session.run(np.ascontiguousarray(shown))
        np.testing.assert_allclose(given, expected.softmax(1)[:, 1], atol=1e-5)
