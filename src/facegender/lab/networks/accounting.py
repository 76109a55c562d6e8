"""What a network costs, layer by layer: feature sizes, parameters and multiplications.

Equations 1-5 of the paper (F. H. Kamaru Zaman, IJECE 10(6), 2020, section 2), applied to any
network. Counted as its Table 3 counts: batch normalization has two parameters a channel, both
printed as biases; its running mean and variance are not parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from facegender.lab.networks.layers import BatchNorm, Branches, Conv, Layer, Linear, Network, Residual, Shape, trace

#: Bytes that one stored weight takes.
PRECISIONS = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Row:
    """One layer's account, for one image: sizes are width x height x channels of what it gives.

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


def account(network: Network) -> list[Row]:
    """A row for the input and one for every layer with parameters, in order; names are the module names."""
    return [Row("input", str(network.input_shape), 0, 0, 0), *_rows(network.layers, network.input_shape, "")]


def total(rows: list[Row]) -> Row:
    """The sum of `rows`; its feature size is empty."""
    return Row(
        layer="total",
        feature_size="",
        weights=sum(row.weights for row in rows),
        biases=sum(row.biases for row in rows),
        macs=sum(row.macs for row in rows),
    )


def parameters(network: Network) -> int:
    """How many parameters training has to find."""
    return total(account(network)).parameters


def weight_bytes(network: Network) -> dict[str, int]:
    """Bytes of all parameters stored as fp32, fp16 and int8, without a file's headers or scales."""
    count = parameters(network)
    return {precision: count * size for precision, size in PRECISIONS.items()}


def as_table3(rows: list[Row]) -> list[Row]:
    """The custom CNN's rows under the names that Table 3 prints; the last, fc_3, is its "Softmax"."""
    return [replace(row, layer=_printed_name(row.layer)) for row in rows]


def _printed_name(layer: str) -> str:
    if layer in (special := {"input": "Input image", "fc_3": "Softmax"}):
        return special[layer]
    layer = re.sub(r"^batchnorm_\d+$", "BatchNorm", layer)
    return layer.replace("conv_", "Conv-").replace("fc_", "FC-")


def _rows(layers: tuple[Layer, ...], shape: Shape, prefix: str) -> Iterator[Row]:
    for layer, before, after in trace(layers, shape):
        match layer:
            case Conv():
                weights = layer.kernel**2 * before.channels * layer.channels  # equation 3
                biases = layer.channels if layer.bias else 0
                macs = weights * (after.size or 1) ** 2
                yield Row(prefix + layer.name, str(after), weights, biases, macs)
            case BatchNorm():
                yield Row(prefix + layer.name, str(after), 0, 2 * after.channels, 0)
            case Linear():
                weights = before.values * layer.features  # equations 4 and 5
                yield Row(prefix + layer.name, str(after), weights, layer.features, weights)
            case Branches():
                for number, branch in enumerate(layer.branches, start=1):
                    yield from _rows(branch, before, f"{prefix}{layer.name}.branch_{number}.")
            case Residual():
                yield from _rows(layer.layers, before, f"{prefix}{layer.name}.")
