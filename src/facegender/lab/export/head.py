"""Where a network's last fully connected layer begins: what stands behind it is too small and too exact for 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx

_LINEAR = ("Gemm", "MatMul")
#: They read a value's shape, not the value.
_SHAPE = ("Shape", "ShapeOf")


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    Attributes:
        name: unique in its network.
        kind: its type.
        inputs, outputs: names of values.
    """

    name: str
    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]


def onnx_head(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the last fully connected layer on; none where there is no such layer."""
    graph = model.graph
    constants = {constant.name for constant in graph.initializer}
    given = {value.name for value in graph.input} - constants
    steps = [Step(node.name, node.op_type, list(node.input), list(node.output)) for node in graph.node]
    return _head(steps, given, graph.output[0].name)


def openvino_head(model: Any) -> list[str]:
    """The same of an ``openvino.Model``: friendly names of its operations."""
    steps = [
        Step(
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


def _head(steps: Sequence[Step], given: set[str], output: str) -> list[str]:
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
