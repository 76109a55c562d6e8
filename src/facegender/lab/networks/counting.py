"""What a network costs, layer by layer: feature sizes, parameters and multiplications.

Counted as the paper's Table 3 counts (F. H. Kamaru Zaman, IJECE 10(6), 2020): batch normalization has two parameters a
channel, both printed as biases; its running mean and variance are not parameters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from facegender.lab.networks.network import Network

#: Bytes that one stored weight takes.
PRECISIONS = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class LayerCount:
    """One layer, for one image: its feature size is width x height x channels of its output.

    `macs` counts multiply-accumulates of convolutions and fully connected layers. The rest has
    none: batch normalization is folded into the convolution before it when a network is exported.
    """

    layer: str
    feature_size: str
    weights: int
    biases: int
    macs: int

    @property
    def parameters(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases


@torch.no_grad()
def count_layers(network: Network) -> list[LayerCount]:
    """A row for the input and one for every layer with parameters, in the order in which they run.

    Args:
        network: in evaluation mode; `facegender.lab.networks.registry.describe` gives one that costs no arithmetic.
    """
    rows = [LayerCount("input", _size(network.input_shape), 0, 0, 0)]

    def add(name: str, layer: nn.Module, output: Tensor) -> None:
        weights = sum(p.numel() for p in layer.parameters(recurse=False) if p.ndim > 1)
        biases = sum(p.numel() for p in layer.parameters(recurse=False) if p.ndim <= 1)
        # Each weight is used once for every place of the output.
        rows.append(LayerCount(name, _size(output.shape[1:]), weights, biases, weights * output[0, 0].numel()))

    handles = [
        layer.register_forward_hook(lambda layer, _, output, name=name: add(name, layer, output))
        for name, layer in network.named_modules()
        if any(True for _ in layer.parameters(recurse=False))
    ]
    try:
        network(torch.empty(1, *network.input_shape, device=next(network.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return rows


def total(rows: Sequence[LayerCount]) -> LayerCount:
    """The sum of `rows`; its feature size is empty."""
    return LayerCount(
        layer="total",
        feature_size="",
        weights=sum(row.weights for row in rows),
        biases=sum(row.biases for row in rows),
        macs=sum(row.macs for row in rows),
    )


def parameters(module: nn.Module) -> int:
    """How many parameters training has to find."""
    return sum(p.numel() for p in module.parameters())


def weight_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes of all parameters stored as fp32, fp16 and int8, without a file's headers or scales."""
    return {precision: parameters(module) * size for precision, size in PRECISIONS.items()}


def as_table3(rows: Sequence[LayerCount]) -> list[LayerCount]:
    """The custom CNN's rows under the names that Table 3 prints; the last, its head, is "Softmax"."""
    return [replace(row, layer=_printed_name(row.layer)) for row in rows]


def _printed_name(layer: str) -> str:
    if block := re.fullmatch(r"blocks\.(\d+)\.conv", layer):
        return f"Conv-{int(block[1]) + 1}"
    if layer.endswith(".norm"):
        return "BatchNorm"
    return {"input": "Input image", "head": "Softmax"}.get(layer, layer.replace("fc_", "FC-"))


def _size(shape: Sequence[Any]) -> str:
    channels, *sides = shape
    return "x".join(map(str, [*reversed(sides), channels])) if sides else f"{channels}x1"
