"""Our own networks: small residual ones (K. He et al., "Deep residual learning", CVPR 2016) for 64 x 64 faces.

Where the paper's network spends its time on large maps of few channels, these halve the map twice at once and spend
it on small maps of many: more arithmetic a millisecond. The first convolution does not pad, so that normalisation
folds into it (`facegender.lab.export.deploy`). Any input of 32 pixels or more fits, since the last map is averaged.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import register


class ResidualNetwork(Network):
    """A stem that halves the map, then stages that halve it again, each of one convolution and some residual blocks.

    Args:
        stem: channels of the first convolution, at half the input's size.
        widths: channels of each stage.
        blocks: residual blocks of each stage.
        dropout: before the last layer.
    """

    def __init__(
        self,
        stem: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        channels: int = 3,
        classes: int = 2,
        dropout: float = 0.0,
        input_size: int = 64,
    ) -> None:
        super().__init__(channels, input_size)
        self.stem = _convolution(channels, stem, stride=2, padding=0)
        stages, before = [], stem
        for width, count in zip(widths, blocks, strict=True):
            down = nn.Sequential(_convolution(before, width, stride=2), nn.ReLU(inplace=True))
            stages.append(nn.Sequential(down, *[Block(width) for _ in range(count)]))
            before = width
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, classes)

    def features(self, x: Tensor) -> Tensor:
        """float32, N x the last of the widths."""
        x = self.stages(F.relu(self.stem(x), inplace=True))
        x = F.avg_pool2d(x, (x.shape[2], x.shape[3])).flatten(1)
        features: Tensor = self.dropout(x)
        return features


class Block(nn.Module):
    """relu(x + b(relu(a(x)))), two convolutions that keep the shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = _convolution(width, width), _convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """N x width x H x W to the same."""
        return F.relu(x + self.b(F.relu(self.a(x), inplace=True)), inplace=True)


def _convolution(channels: int, width: int, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """3x3 convolution and batch normalization."""
    conv = nn.Conv2d(channels, width, 3, stride=stride, padding=padding, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(width)))


@register
def residual(**options: Any) -> ResidualNetwork:
    """Small and deep: 855,314 parameters."""
    return ResidualNetwork(16, (32, 64, 128), (1, 2, 2), **options)


@register
def residual_wide(**options: Any) -> ResidualNetwork:
    """Wider and shallower: 1,091,738 parameters."""
    return ResidualNetwork(24, (48, 96, 192), (1, 1, 1), **options)


@register
def residual_large(**options: Any) -> ResidualNetwork:
    """As many parameters as the paper's network: 1,939,490, and four times its arithmetic. The one that ships."""
    return ResidualNetwork(32, (64, 128, 256), (1, 1, 1), **options)


@register
def residual_nano(**options: Any) -> ResidualNetwork:
    """The smallest: 168,202 parameters."""
    return ResidualNetwork(8, (16, 32, 80), (1, 1, 1), **options)
