"""An exported network in 8-bit integers: post-training quantisation of ONNX models."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from facegender.errors import WeightsError

#: Of a convolution next to the pixels that stays in float32.
_FEW_CHANNELS = 48
#: Crops in one calibration step; the ranges do not depend on it.
_BATCH = 16
#: Operations of a fully connected layer, and those that read a value's shape, not the value.
_LINEAR, _SHAPE = ("Gemm", "MatMul"), ("Shape", "ShapeOf")


def quantize(model: bytes, crops: npt.NDArray[Any]) -> bytes:
    """The model with 8-bit weights and activations, between QuantizeLinear and DequantizeLinear nodes (QDQ).

    Weights are signed, with one scale an output channel and 7 bits of range: processors without VNNI add two products
    in 16 bits, which 8 would overflow. Activations are unsigned; their ranges are the least and greatest values on the
    calibration crops. Convolutions of few channels next to the pixels, the last fully connected layer and what follows
    it stay as they are: one bit there is a visible step in the probability, and they are little of the work. ONNX
    Runtime and OpenVINO both compute such a model in integers.

    Args:
        model: an ONNX model with one input.
        crops: calibration inputs, a few hundred, shape and dtype as the model takes them.

    Raises:
        WeightsError: ONNX Runtime cannot quantise this model.
    """
    logging.getLogger().addFilter(_is_no_advice)  # to prepare the graph in ways that exports do not need
    try:
        parsed = onnx.load_from_string(model)
        with tempfile.TemporaryDirectory(prefix="facegender-int8-") as folder:
            given, quantized = Path(folder, "given.onnx"), Path(folder, "int8.onnx")
            given.write_bytes(model)
            quantize_static(
                given,
                quantized,
                _Calibration(parsed.graph.input[0].name, crops),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=[*_first_convolutions(parsed), *_sums_of_squares(parsed), *onnx_head(parsed)],
            )
            return quantized.read_bytes()
    except Exception as error:  # the quantiser raises what its graph walks run into
        raise WeightsError(f"the network cannot be quantised: {error}") from error
    finally:
        logging.getLogger().removeFilter(_is_no_advice)


def _is_no_advice(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING


def _first_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the two convolutions next to the pixels, where they have few channels.

    Rounding shows most there, as normalisation is folded in, and few channels gain least from integers: on the widest
    network that ships, leaving them alone took a third off the mean error of p_male and cost no time.
    """
    channels = {constant.name: constant.dims[0] for constant in model.graph.initializer if constant.dims}
    first = [n for n in model.graph.node if n.op_type == "Conv"][:2]
    return [n.name for n in first if channels[n.input[1]] <= _FEW_CHANNELS]


def _sums_of_squares(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions in local response normalization: squares span too many powers of ten for 8 bits."""
    squares = {n.output[0] for n in model.graph.node if n.op_type == "Mul" and n.input[0] == n.input[1]}
    return [n.name for n in model.graph.node if n.op_type == "Conv" and n.input[0] in squares]


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, name: str, crops: npt.NDArray[Any]) -> None:
        self._batches: Iterator[dict[str, npt.NDArray[Any]]] = (
            {name: np.ascontiguousarray(crops[start : start + _BATCH])} for start in range(0, len(crops), _BATCH)
        )

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        """The next batch, None after the last."""
        return next(self._batches, None)


class _Step(NamedTuple):
    """One operation of a network: its name and type, and the names of the values that it takes and gives."""

    name: str
    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]


def onnx_head(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the last fully connected layer on, which are too small and too exact for 8 bits.

    There are none where there is no such layer.
    """
    graph = model.graph
    constants = {constant.name for constant in graph.initializer}
    given = {value.name for value in graph.input} - constants
    steps = [_Step(node.name, node.op_type, list(node.input), list(node.output)) for node in graph.node]
    return _head(steps, given, graph.output[0].name)


def openvino_head(model: Any) -> list[str]:
    """The same of an ``openvino.Model``: friendly names of its operations."""
    steps = [
        _Step(
            op.get_friendly_name(),
            op.get_type_name(),
            [value.get_node().get_friendly_name() for value in op.input_values()],
            [op.get_friendly_name()],
        )
        for op in model.get_ordered_ops()
    ]
    given = {step.name for step in steps if step.kind == "Parameter"}
    result = next(step for step in steps if step.kind == "Result")
    return _head(steps, given, result.outputs[0])


def _head(steps: Sequence[_Step], given: set[str], output: str) -> list[str]:
    """The steps behind the last value that everything passes through before a fully connected layer.

    Args:
        steps: in an order in which they can be computed.
        given: the network's inputs.
    """
    place: dict[str, int] = {}
    varying = set(given)
    for number, step in enumerate(steps):
        if step.kind not in _SHAPE and varying.intersection(step.inputs):
            varying.update(step.outputs)
            place.update(dict.fromkeys(step.outputs, number))
    # A front moves from the output towards the input, always past the step that is computed last.
    front, passed, linear = {output}, [], False
    while not (linear and len(front) == 1):
        number = max(place.get(value, -1) for value in front)
        if number < 0:  # the input, and no such layer on the way
            return []
        step = steps[number]
        front = front - set(step.outputs) | varying.intersection(step.inputs)
        linear |= step.kind in _LINEAR
        passed.append(step.name)
    return passed
