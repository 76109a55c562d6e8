"""Local response normalization (A. Krizhevsky et al., NIPS 2012, section 3.3), which AlexNet and GoogLeNet share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalResponseNorm(nn.Module):
    """x / (k + alpha / size * sum of the squares of `size` neighbouring channels) ** 0.75.

    alpha is divided by the window, as in Caffe, MATLAB and PyTorch; the equation of Krizhevsky et al. does not divide.
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
