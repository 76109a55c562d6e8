"""A network as it is exported: the same answers in fewer or faster steps, and as an ONNX model."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facegender.errors import WeightsError
from facegender.faces.types import CROP_SIZE
from facegender.lab.networks.classifier import CropClassifier, mirrored
from facegender.lab.networks.network import Network, normalized_convolutions, trace_features

OPSET = 18


class Deployed(nn.Module):
    """uint8 crops, N x `size` x `size` x 3 RGB, to float32 probabilities of ``male``, N. In evaluation mode.

    Only the features and the head of the network are left, with softmax or calibration behind them:

    - Batch normalization goes into the convolution before it.
    - Normalisation, and gray from colour, go into the first convolution's weights, unless that convolution pads (its
      zeros mean "average pixel" after normalisation and "black" before it) or the crops need enlarging. A quantised
      network then reads the bytes as they are.

    Args:
        size: side of the crops in pixels.
        calibration: from features (N x F) and logits (N x 2) to probabilities (N); None takes the softmax of the
            logits.

    Raises:
        WeightsError: the body is no `Network`.
    """

    def __init__(self, classifier: CropClassifier, size: int, calibration: nn.Module | None = None) -> None:
        super().__init__()
        classifier = copy.deepcopy(classifier).eval()
        network: nn.Module = classifier.body
        if not isinstance(network, Network):
            kind = type(classifier.body).__name__
            raise WeightsError(f"only a Network, which has features and a head, is exported, not a {kind}")
        self.logits = network.head
        self.calibration = copy.deepcopy(calibration)
        body = fx.GraphModule(network, trace_features(network))
        _fuse_batch_normalization(body)
        classifier.body = body  # type: ignore[assignment]  # from here on it gives the features
        self.classifier = classifier
        self.folded = size == classifier.size and _fold_normalisation(body, classifier)
        self.eval()

    def features(self, crops: Tensor) -> Tensor:
        """What the head takes: float32, N x F."""
        return mirrored(self._features, crops) if self.classifier.mirror else self._features(crops)

    def _features(self, crops: Tensor) -> Tensor:
        x = crops.permute(0, 3, 1, 2).float() if self.folded else self.classifier.normalise(crops)
        features: Tensor = self.classifier.body(x)
        return features

    def forward(self, crops: Tensor) -> Tensor:
        """The probabilities of a batch of crops."""
        features = self.features(crops)
        logits = self.logits(features)
        if self.calibration is None:
            return torch.sigmoid(logits[:, 1] - logits[:, 0])
        p_male: Tensor = self.calibration(features, logits)
        return p_male


def _fuse_batch_normalization(body: fx.GraphModule) -> None:
    """Make each batch normalization a part of the convolution before it, where nothing else reads that convolution."""
    for before, norm in list(normalized_convolutions(body, body.graph)):
        conv, normalization = body.get_submodule(str(before.target)), body.get_submodule(str(norm.target))
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(normalization, nn.BatchNorm2d)
        body.set_submodule(str(before.target), fuse_conv_bn_eval(conv, normalization))
        norm.replace_all_uses_with(before)
        body.graph.erase_node(norm)
    body.recompile()


@torch.no_grad()
def _fold_normalisation(body: fx.GraphModule, classifier: CropClassifier) -> bool:
    """Let the first convolution take RGB bytes and normalise, where it can; whether it does."""
    images = next(node for node in body.graph.nodes if node.op == "placeholder")
    (first, *others) = images.users
    if others or first.op != "call_module":
        return False
    conv = body.get_submodule(first.target)
    if not isinstance(conv, nn.Conv2d) or conv.padding != (0, 0) or conv.groups != 1 or conv.dilation != (1, 1):
        return False
    kernel = conv.weight / classifier.std
    offset = (kernel * classifier.mean).sum(dim=(1, 2, 3))
    if classifier.gray:
        kernel = kernel * classifier.luma
    folded = nn.Conv2d(
        3, conv.out_channels, (conv.kernel_size[0], conv.kernel_size[1]), (conv.stride[0], conv.stride[1])
    )
    assert folded.bias is not None
    folded.weight.copy_(kernel)
    folded.bias.copy_((0 if conv.bias is None else conv.bias) - offset)
    body.set_submodule(first.target, folded.eval())
    return True


def to_onnx(classifier: CropClassifier, size: int = CROP_SIZE, calibration: nn.Module | None = None) -> bytes:
    """The classifier as an ONNX model: uint8 ``crops`` N x `size` x `size` x 3 in, float32 ``p_male`` N out.

    Args:
        size: side of the crops in pixels.
        calibration: as for `Deployed`.

    Raises:
        WeightsError: PyTorch gave no program.
    """
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    network = Deployed(classifier, size, calibration)
    return onnx_bytes(network, example, "crops", "p_male", {0: torch.export.Dim("faces")})


def onnx_bytes(module: nn.Module, example: Tensor, takes: str, gives: str, dynamic: dict[int, Any]) -> bytes:
    """A module with one input and one output as an ONNX model.

    Args:
        module: put into evaluation mode.
        dynamic: which dimensions of the input may change, and their names or formulas.

    Raises:
        WeightsError: PyTorch gave no program.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[takes],
            output_names=[gives],
            dynamic_shapes=(dynamic,),
            verbose=False,
        )
    if program is None:
        raise WeightsError("PyTorch gave no ONNX program")
    model = program.model_proto
    # The exporter notes source lines and paths of the machine; none of it belongs into a shipped file.
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized
