"""The face detector: single shot, anchor free, five landmarks, in the spirit of YuNet.

Separable convolutions (Howard et al., "MobileNets", 2017) in residual blocks, a top-down feature pyramid
(Lin et al., "Feature Pyramid Networks", CVPR 2017), and on each level one prediction a cell, as in FCOS
(Tian et al., ICCV 2019).

What it gives for each cell is documented in `facegender.faces.anchors`, which reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegender.faces.anchors import STRIDES, VALUES

#: Share of cells that hold a face when training begins, so that the first steps are not all about the background.
_PRIOR = 0.01
#: Bytes are divided by the one, and the other is taken off.
_SCALE, _SHIFT = 64.0, 2.0


class Widths(NamedTuple):
    """Channels after the stem, at strides 4, 8, 16, 32, and in the pyramid."""

    stem: int = 16
    stride4: int = 32
    stride8: int = 64
    stride16: int = 80
    stride32: int = 80
    pyramid: int = 64


class FaceDetectorNetwork(nn.Module):
    """uint8 images, N x H x W x 3 RGB with H and W multiples of 32, to float32 cells, N x 15 x C.

    C counts the cells of the three strides, one after another, row by row; the score is a logit.
    """

    def __init__(self, widths: Widths = Widths()) -> None:  # noqa: B008  # a tuple does not change
        super().__init__()
        stem, c4, c8, c16, c32, pyramid = widths
        self.stem = _convolution(3, stem, padding=0)
        self.stride4 = nn.Sequential(_convolution(stem, c4, padding=1), Separable(c4, c4))
        self.stride8 = _stage(c4, c8)
        self.stride16 = _stage(c8, c16)
        self.stride32 = _stage(c16, c32)
        self.lateral = nn.ModuleList([nn.Conv2d(c, pyramid, 1) for c in (c8, c16, c32)])
        self.heads = nn.ModuleList([_head(pyramid) for _ in STRIDES])

    def forward(self, images: Tensor) -> Tensor:
        """Cells of a batch of images."""
        # The permuted view of N x H x W x C bytes already is PyTorch's channels_last: nothing is copied.
        x = images.permute(0, 3, 1, 2).float() / _SCALE - _SHIFT
        # Beyond the border is black, so that the exported network can take the bytes as they are.
        return self.cells(self.stem(F.pad(x, (1, 1, 1, 1), value=-_SHIFT)))

    def cells(self, x: Tensor) -> Tensor:
        """Cells from the features at stride 2."""
        fine = self.stride8(self.stride4(x))
        middle = self.stride16(fine)
        coarse = self.lateral[2](self.stride32(middle))
        middle = self.lateral[1](middle) + F.interpolate(coarse, scale_factor=2.0)
        fine = self.lateral[0](fine) + F.interpolate(middle, scale_factor=2.0)
        levels = [head(x).flatten(2) for head, x in zip(self.heads, (fine, middle, coarse), strict=True)]
        return torch.cat(levels, dim=2).float()


def weights_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an exported detector under the names of the network: normalizations are within the convolutions.

    Args:
        tensors: float32, by the names that they have in the exported file.
    """
    named = {name.removeprefix("network.").replace(".weight_bias", ".bias"): t for name, t in tensors.items()}
    if "stem.0.weight" in tensors:
        weight = _SCALE * tensors["stem.0.weight"]
        named["stem.0.weight"] = weight
        named["stem.0.bias"] = named["stem.0.bias"] + _SHIFT * weight.sum((1, 2, 3))
    return named


class DeployedDetector(nn.Module):
    """The detector as it is exported: the score is a probability, and the first convolution takes bytes."""

    def __init__(self, network: FaceDetectorNetwork) -> None:
        super().__init__()
        self.network = network
        first = network.stem[0]
        assert isinstance(first, nn.Conv2d)
        convolution = nn.Conv2d(3, first.out_channels, 3, 2, 1)
        assert convolution.bias is not None
        with torch.no_grad():
            convolution.weight.copy_(first.weight / _SCALE)
            convolution.bias.copy_(-_SHIFT * first.weight.sum((1, 2, 3)))
        self.stem = nn.Sequential(convolution, network.stem[1], network.stem[2])

    def forward(self, images: Tensor) -> Tensor:
        """Cells of a batch of images, score in [0, 1]."""
        cells = self.network.cells(self.stem(images.permute(0, 3, 1, 2).float()))
        return torch.cat([torch.sigmoid(cells[:, :1]), cells[:, 1:]], dim=1)


class Separable(nn.Module):
    """A 3x3 convolution within each channel, then a 1x1 across them; residual where the shape stays."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same or half the height and width."""
        y = self.body(x)
        return F.relu(x + y if self.residual else y)


def _convolution(channels: int, out: int, padding: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, 2, padding, bias=False), nn.BatchNorm2d(out), nn.ReLU())


def _stage(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(Separable(channels, out, stride=2), *[Separable(out, out) for _ in range(3)])


def _head(channels: int) -> nn.Sequential:
    last = nn.Conv2d(channels, VALUES, 1)
    nn.init.normal_(last.weight, std=0.01)
    bias = torch.zeros(VALUES)
    bias[0] = -math.log((1 - _PRIOR) / _PRIOR)
    last.bias = nn.Parameter(bias)
    return nn.Sequential(Separable(channels, channels), Separable(channels, channels), last)
