"""From a PyTorch module to an ONNX model."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from facegender.errors import WeightsError
from facegender.faces.types import CROP_SIZE
from facegender.lab.export.deploy import Deployed
from facegender.lab.networks.classifier import CropClassifier

OPSET = 18


def to_onnx(classifier: CropClassifier, size: int = CROP_SIZE, calibration: nn.Module | None = None) -> bytes:
    """The classifier as an ONNX model: uint8 ``crops`` N x `size` x `size` x 3 in, float32 ``p_male`` N out.

    Args:
        size: side of the crops in pixels.
        calibration: from features and logits to ``p_male``; None takes the softmax
            (`facegender.lab.export.deploy.Deployed`).

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
