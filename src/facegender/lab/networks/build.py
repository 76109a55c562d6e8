"""From a network's description to a PyTorch module (needs the extra `train`)."""

from __future__ import annotations

from collections import Counter, OrderedDict

import torch
from torch import nn

from facegender.lab.networks.layers import (
    LRN,
    AvgPool,
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool,
    Network,
    ReLU,
    Residual,
    Shape,
    extra_padding,
    trace,
)


def build(network: Network) -> nn.Module:
    """The network as a module: float32 N x C x S x S, normalised, to float32 N x classes logits.

    No softmax at the end: the loss and the export add it. Weights start as PyTorch starts them, uniform in
    +-1/sqrt(fan in): He's normal initialisation, with three dropouts and a rate of 0.1, stays at the majority
    class for several epochs (results/recipe_search.csv). Children bear the names of the description, others a
    number: `conv_1`, `batchnorm_1`, `maxpool_1`, `relu_1`, ...

    A ReLU that a max-pool follows runs after it: the two commute, and it then meets a quarter of
    the values, so `maxpool_1` stands before `relu_1`.

    Raises ValueError for a description whose layers do not fit each other.
    """
    return _sequential(network.layers, network.input_shape)


def initialize_he(module: nn.Module) -> None:
    """Draw all weights anew: normal with variance 2 / fan in, biases zero (K. He et al., ICCV 2015)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class _Branches(nn.Module):
    """Runs the branches on the same input and joins them on the channel axis."""

    def __init__(self, branches: tuple[tuple[Layer, ...], ...], shape: Shape) -> None:
        super().__init__()
        for number, branch in enumerate(branches, start=1):
            self.add_module(f"branch_{number}", _sequential(branch, shape))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(features) for branch in self.children()], dim=1)


class _Residual(nn.Sequential):
    """Adds what its layers make of the input to the input."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = super().forward(features)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return features + changed


def _sequential(layers: tuple[Layer, ...], shape: Shape) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    numbers: Counter[str] = Counter()
    previous: Layer | None = None
    for layer, before, _ in trace(layers, shape):
        kind = type(layer).__name__.lower()
        numbers[kind] += 1
        name = getattr(layer, "name", f"{kind}_{numbers[kind]}")
        relu = modules.popitem() if isinstance(layer, MaxPool) and isinstance(previous, ReLU) else None
        if isinstance(layer, MaxPool) and (extra := extra_padding(before.size or 0, layer)):
            if relu is None:
                raise ValueError("a half_up pool pads with zeros, so it has to follow a ReLU")
            # relu(max(window, 0)) = relu(max(window)): the zeros never change the result, and a
            # window that lies wholly in the padding gives 0, as it would with the ReLU first.
            modules[f"{name}_padding"] = nn.ZeroPad2d((0, extra, 0, extra))
        if isinstance(layer, Linear) and before.size is not None:
            modules["flatten"] = nn.Flatten()
        modules[name] = _module(layer, before, first=previous is None)
        if relu is not None:
            modules[relu[0]] = relu[1]
        previous = layer
    return nn.Sequential(modules)


def _module(layer: Layer, shape: Shape, first: bool) -> nn.Module:  # noqa: PLR0911 (one return a layer)
    match layer:
        case Conv(_, channels, kernel, stride, padding, bias):
            return nn.Conv2d(shape.channels, channels, kernel, stride, padding, bias=bias)
        case BatchNorm():
            return nn.BatchNorm2d(shape.channels)
        case ReLU():
            # A branch's first layer reads what its neighbours read too, so it must leave it alone.
            return nn.ReLU(inplace=not first)
        case LRN(size, alpha, beta, k):
            return nn.LocalResponseNorm(size, alpha, beta, k)
        case MaxPool(kernel, stride, padding, rounding):
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=rounding == "ceil")
        case AvgPool(kernel, stride):
            return nn.AvgPool2d(kernel, stride)
        case Dropout(p):
            return nn.Dropout(p)
        case Linear(_, features):
            return nn.Linear(shape.values, features)
        case Branches(_, branches):
            return _Branches(branches, shape)
        case GlobalAvgPool():
            return nn.AdaptiveAvgPool2d(1)
        case Residual(_, layers):
            return _Residual(OrderedDict(_sequential(layers, shape).named_children()))
