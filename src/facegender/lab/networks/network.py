"""What every classification network gives, however it is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx, nn


class Network(nn.Module):
    """Normalised float32 images, N x C x S x S, to float32 logits, N x classes: features, then one linear layer.

    There is no softmax at the end: the loss and the export add it. Weights start as PyTorch starts them, uniform in
    +-1/sqrt(fan in): He's normal initialisation, with three dropouts and a rate of 0.1, stays at the majority class
    for several epochs (results/paper/recipe_search.csv).

    A subclass sets `head` and defines `features`. Nothing else is asked of it: training, calibration and export use
    these two.

    Attributes:
        input_shape: C, S, S.
        head: the linear layer from features to logits.
    """

    head: nn.Linear

    def __init__(self, channels: int, input_size: int) -> None:
        super().__init__()
        self.input_shape = (channels, input_size, input_size)

    @property
    def input_size(self) -> int:
        """S, in pixels."""
        return self.input_shape[-1]

    def features(self, x: Tensor) -> Tensor:
        """What the head takes: float32, N x F."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.head(self.features(x))
        return logits


def trace_features(network: nn.Module) -> fx.Graph:
    """The steps of a network's `features`."""
    tracer = fx.Tracer()
    tracer.traced_func_name = "features"
    return tracer.trace(network)


def normalized_convolutions(network: nn.Module, graph: fx.Graph) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Each convolution of a network's graph that only a batch normalization reads, and that normalization."""
    modules: dict[Any, nn.Module] = dict(network.named_modules())
    for node in graph.nodes:
        if isinstance(modules.get(node.target), nn.BatchNorm2d):
            before = node.args[0]
            if isinstance(modules.get(before.target), nn.Conv2d) and len(before.users) == 1:
                yield before, node


def initialize_he(module: nn.Module) -> None:
    """Draw all weights: normal with variance 2 / fan in, biases zero (K. He et al., ICCV 2015)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
