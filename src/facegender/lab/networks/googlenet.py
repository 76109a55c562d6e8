"""GoogLeNet: C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, Table 1.

Without the two auxiliary heads, which only serve training from scratch. Local response
normalization and pools that round up are those of the authors' Caffe release; batch
normalization came with its successors.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegender.lab.networks.alexnet import LocalResponseNorm
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import register


class GoogLeNet(Network):
    """GoogLeNet for 224 x 224 x `channels`: 6,998,552 parameters (RGB) at 1000 classes, 5,975,602 at 2.

    The last pool averages the whole feature map, 7 x 7 at 224, whatever the `input_size`.
    """

    def __init__(self, channels: int = 3, classes: int = 2, dropout: float = 0.4, input_size: int = 224) -> None:
        super().__init__(channels, input_size)
        self.conv_1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3)
        self.conv_2_reduce = nn.Conv2d(64, 64, 1)
        self.conv_2 = nn.Conv2d(64, 192, 3, padding=1)
        self.inception_3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception_3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.inception_4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception_4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception_4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception_4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception_4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.inception_5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception_5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.head = nn.Linear(1024, classes)
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.lrn_1, self.lrn_2 = LocalResponseNorm(64), LocalResponseNorm(192)

    def features(self, x: Tensor) -> Tensor:
        """float32, N x 1024."""
        x = self.lrn_1(self.pool(F.relu(self.conv_1(x))))
        x = F.relu(self.conv_2(F.relu(self.conv_2_reduce(x))))
        x = self.pool(self.lrn_2(x))
        x = self.pool(self.inception_3b(self.inception_3a(x)))
        x = self.inception_4c(self.inception_4b(self.inception_4a(x)))
        x = self.pool(self.inception_4e(self.inception_4d(x)))
        x = self.inception_5b(self.inception_5a(x))
        x = F.avg_pool2d(x, (x.shape[2], x.shape[3])).flatten(1)
        features: Tensor = self.dropout(x)
        return features


class Inception(nn.Module):
    """Four branches on one input, joined on the channel axis.

    Args:
        one, reduce_3, three, reduce_5, five, pooled: output channels of the convolutions (Table 1, columns 5-10).
    """

    def __init__(
        self, channels: int, one: int, reduce_3: int, three: int, reduce_5: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv2d(channels, one, 1)
        self.reduce_3x3 = nn.Conv2d(channels, reduce_3, 1)
        self.conv_3x3 = nn.Conv2d(reduce_3, three, 3, padding=1)
        self.reduce_5x5 = nn.Conv2d(channels, reduce_5, 1)
        self.conv_5x5 = nn.Conv2d(reduce_5, five, 5, padding=2)
        self.pool_1x1 = nn.Conv2d(channels, pooled, 1)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """N x channels x H x W to N x (one + three + five + pooled) x H x W."""
        branches = (
            self.conv_1x1(x),
            self.conv_3x3(F.relu(self.reduce_3x3(x))),
            self.conv_5x5(F.relu(self.reduce_5x5(x))),
            self.pool_1x1(self.pool(x)),
        )
        return torch.cat([F.relu(branch) for branch in branches], dim=1)


@register
def googlenet(**options: Any) -> GoogLeNet:
    """GoogLeNet, without auxiliary heads."""
    return GoogLeNet(**options)
