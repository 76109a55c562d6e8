"""AlexNet: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep
convolutional neural networks", NIPS 2012.

Ungrouped: the original splits conv_2, conv_4 and conv_5 over two GPUs, but the paper's count,
62,378,344 for 1000 classes, is that of the network without the split.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import register


class AlexNet(Network):
    """AlexNet for 227 x 227 x `channels`: 62,378,344 parameters (RGB) at 1000 classes, 58,289,538 at 2.

    Another `input_size` changes only how many values fc_6 reads.
    """

    def __init__(self, channels: int = 3, classes: int = 2, dropout: float = 0.5, input_size: int = 227) -> None:
        super().__init__(channels, input_size)
        self.conv_1 = nn.Conv2d(channels, 96, 11, stride=4)
        self.conv_2 = nn.Conv2d(96, 256, 5, padding=2)
        self.conv_3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv_4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv_5 = nn.Conv2d(384, 256, 3, padding=1)
        side = (input_size - 11) // 4 + 1
        for _ in range(3):
            side = (side - 3) // 2 + 1
        if side < 1:
            raise ValueError("nothing is left after the last pool")
        self.fc_6 = nn.Linear(256 * side * side, 4096)
        self.fc_7 = nn.Linear(4096, 4096)
        self.head = nn.Linear(4096, classes)
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.MaxPool2d(3, stride=2)
        # k = 2, n = 5, alpha = 1e-4 (section 3.3); alpha is not divided by the window there, hence 5e-4.
        self.lrn_1 = LocalResponseNorm(96, alpha=5e-4, k=2.0)
        self.lrn_2 = LocalResponseNorm(256, alpha=5e-4, k=2.0)

    def features(self, x: Tensor) -> Tensor:
        """float32, N x 4096."""
        x = self.pool(self.lrn_1(F.relu(self.conv_1(x))))
        x = self.pool(self.lrn_2(F.relu(self.conv_2(x))))
        x = F.relu(self.conv_4(F.relu(self.conv_3(x))))
        x = self.pool(F.relu(self.conv_5(x))).flatten(1)
        x = F.relu(self.fc_6(self.dropout(x)))
        return F.relu(self.fc_7(self.dropout(x)))


class LocalResponseNorm(nn.Module):
    """Section 3.3: x / (k + alpha / size * sum of the squares of `size` neighbouring channels) ** 0.75.

    alpha is divided by the window, as in Caffe, MATLAB and PyTorch; the equation there does not divide.
    The sum is a 1x1 convolution with fixed weights: faster in ONNX Runtime than its own LRN or a pool over channels,
    and as fast in OpenVINO as its own.
    """

    near: Tensor
    offset: Tensor

    def __init__(self, channels: int, size: int = 5, alpha: float = 1e-4, k: float = 1.0) -> None:
        super().__init__()
        place = torch.arange(channels)
        near = (place[:, None] - place).abs() <= size // 2
        self.register_buffer("near", (near * (alpha / size))[:, :, None, None], persistent=False)
        self.register_buffer("offset", torch.full((channels,), k), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same."""
        root = F.conv2d(x * x, self.near, self.offset).sqrt()
        return x / (root * root.sqrt())


@register
def alexnet(**options: Any) -> AlexNet:
    """AlexNet."""
    return AlexNet(**options)
