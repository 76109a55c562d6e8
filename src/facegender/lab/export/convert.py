"""An exported network in the form and the precision in which it ships."""

from __future__ import annotations

import io
import logging
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import onnx

from facegender.errors import WeightsError, needs
from facegender.faces.types import Crops
from facegender.lab.export.quantize import openvino_head, quantize
from facegender.weights.cards import Precision

Format: TypeAlias = Literal["onnx", "openvino"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: Smaller constants stay in float32: they weigh nothing, and biases of raw pixels may not fit float16.
_HALVED = 256


def convert(model: bytes, form: Format, precision: Precision, crops: Crops) -> Mapping[str, bytes]:
    """The files of a network.

    Args:
        model: the network in ONNX and float32.
        precision: of the weights, and with int8 of the arithmetic.
        crops: uint8, N x 64 x 64 x 3; a few hundred faces, on which int8 takes the ranges of activations.

    Returns:
        suffix to content: ``.onnx``, or ``.xml`` and ``.bin``, the first being the one to open.

    Raises:
        WeightsError: the network cannot be converted.
        MissingExtraError: OpenVINO or NNCF is not installed.
    """
    if form == "openvino":
        return _openvino(model, precision, crops)
    if precision == "int8":
        return {".onnx": quantize(model, crops)}
    return {".onnx": _halved(model) if precision == "fp16" else model}


def _halved(model: bytes) -> bytes:
    """The model with weights in float16 and arithmetic in float32: runtimes widen the weights as they load them.

    ONNX Runtime's own converter makes the arithmetic float16 too, which CPUs have no kernels for: it then converts
    before and after each layer and takes an eighth longer.
    """
    parsed = onnx.load_from_string(model)
    casts = []
    for constant in parsed.graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype == np.float32 and values.size >= _HALVED:
            wide, narrow = constant.name, f"{constant.name}_fp16"
            constant.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), narrow))
            casts.append(onnx.helper.make_node("Cast", [narrow], [wide], f"{wide}_widened", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *parsed.graph.node]
    del parsed.graph.node[:]
    parsed.graph.node.extend(nodes)
    onnx.checker.check_model(parsed)
    serialized: bytes = parsed.SerializeToString()
    return serialized


def _openvino(model: bytes, precision: Precision, crops: Crops) -> Mapping[str, bytes]:
    with needs("openvino", "openvino"):
        import openvino
    try:
        network = openvino.Core().read_model(model)
        if precision == "int8":
            network = _quantized(network, crops)
        with tempfile.TemporaryDirectory(prefix="facegender-openvino-") as folder:
            path = Path(folder, "network.xml")
            openvino.save_model(network, path, compress_to_fp16=precision == "fp16")
            return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}
    except RuntimeError as error:
        raise WeightsError(f"OpenVINO cannot take the network: {str(error).strip().splitlines()[-1]}") from error


def _quantized(network: Any, crops: Crops) -> Any:
    """Static int8 by NNCF: one scale an output channel for weights, least to greatest value for activations.

    NNCF's own choice, the mean over crops of each one's greatest value, cuts off what makes the surest answers sure.
    """
    with needs("nncf", "openvino"):
        import nncf
    nncf.set_log_level(logging.ERROR)
    ranges = nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX
    with redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()):  # its progress bars
        return nncf.quantize(
            network,
            nncf.Dataset([crop[None] for crop in crops]),
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(crops),
            ignored_scope=nncf.IgnoredScope(names=openvino_head(network), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges),
        )
