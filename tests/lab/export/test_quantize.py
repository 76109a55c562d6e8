"""The 8-bit form of a network: integers inside, the same answers outside."""

import numpy as np
import onnx
import pytest
import torch

from facegender.errors import WeightsError
from facegender.inference.runtime import Session
from facegender.lab.export import to_onnx
from facegender.lab.export.quantize import quantize
from facegender.lab.networks.alexnet import LocalResponseNorm
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import network
from facegender.lab.training.optimization import measure_population


@pytest.fixture(scope="module")
def exact(crops):
    """The custom CNN in float32: weights as PyTorch draws them, made to answer differently to different crops."""
    torch.manual_seed(0)
    classifier = CropClassifier(network("custom-cnn-table1"), (127.5,) * 3, (64.0,) * 3)
    measure_population(classifier, crops, np.arange(len(crops)), 20)
    with torch.no_grad():
        classifier.body.head.weight *= 30
    return to_onnx(classifier, 64)


@pytest.fixture(scope="module")
def crops(store, astronaut):
    """Drawn ones and windows of a photo, many of them on the face: every other one calibrates."""
    places = [(y, x) for y in range(20, 120, 10) for x in range(120, 220, 10)]
    windows = np.stack([astronaut[y : y + 128 : 2, x : x + 128 : 2] for y, x in places])
    return np.concatenate([store.crops, windows])


@pytest.fixture(scope="module")
def quantized(exact, crops):
    return quantize(exact, crops[::2])


def test_weights_are_stored_in_8_bits(exact, quantized):
    graph = onnx.load_from_string(quantized).graph
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
    dequantized = {node.output[0]: node.input for node in graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == 10
    assert layers[-1].input[1] in constants  # the last one's weights stay in float32
    assert {layer.input[1] in constants for layer in layers[:2]} == {True}  # as are those of the first two
    for layer in layers[2:-1]:
        weights, scales = (constants[name] for name in dequantized[layer.input[1]][:2])
        assert weights.dtype == np.int8
        assert np.abs(weights.astype(int)).max() <= 64  # 7 bits
        assert scales.shape == (weights.shape[0],)  # one an output channel
        assert layer.input[0] in dequantized  # activations too
    assert len(quantized) < len(exact) / 3.5


def test_onnx_runtime_computes_in_integers(quantized, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(quantized, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("QLinearConv") == 5
    assert kinds.count("QGemm") == 2
    assert kinds.count("Gemm") + kinds.count("FusedGemm") == 1
    assert kinds.count("Conv") + kinds.count("FusedConv") == 2


def test_it_agrees_with_float32(exact, quantized, crops):
    ours = Session(exact, threads=1).run(crops[1::2])
    theirs = Session(quantized, threads=1).run(crops[1::2])
    assert ((ours >= 0.5) == (theirs >= 0.5)).mean() >= 0.95
    assert np.abs(ours - theirs).mean() < 0.1 * ours.std()


class Small(Network):
    """Local response normalization between two convolutions."""

    def __init__(self):
        super().__init__(3, 32)
        self.conv_1, self.lrn = torch.nn.Conv2d(3, 8, 3, stride=4), LocalResponseNorm(8)
        self.conv_2, self.head = torch.nn.Conv2d(8, 4, 3), torch.nn.Linear(4 * 6 * 6, 2)

    def features(self, x):
        return self.conv_2(self.lrn(torch.relu(self.conv_1(x)))).flatten(1)


def test_local_response_normalization_keeps_its_sums_in_float():
    classifier = CropClassifier(Small(), (127.5,) * 3, (64.0,) * 3, 32)
    crops = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    graph = onnx.load_from_string(quantize(to_onnx(classifier, 32), crops)).graph
    constants = {constant.name for constant in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    # In float32: next to the pixels, and the sums.
    assert [node.input[1] in constants for node in convolutions] == [True, True, False]


def test_what_is_no_network():
    with pytest.raises(WeightsError, match="cannot be quantised"):
        quantize(b"no network", np.zeros((1, 64, 64, 3), np.uint8))
