"""The paper's network: F. H. Kamaru Zaman, IJECE 10(6), 2020, pp. 5758-5771, Table 1.

Seven blocks of 3x3 convolution, batch normalization, ReLU and 2x2 max-pooling, then three fully connected layers of
100, 50 and 2, for aligned 64x64 faces.
"""

from __future__ import annotations

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import register

#: Convolution kernels of each block, and the padding of its convolution and of its pool (Table 1).
BLOCKS = ((8, 0), (16, 0), (32, 0), (64, 1), (128, 1), (256, 1), (512, 1))
_SIZE = 64


class CustomCNN(Network):
    """The custom CNN, 64 x 64 x `channels` in.

    The paper gives two networks. With `rounding` ``floor`` it is the list of layers of Table 1, with pools that round
    down, as frameworks do: fc_1 reads 2 x 2 x 512 values and there are 1,785,796 parameters (RGB). With ``half_up`` it
    has the feature sizes and the 2,041,796 parameters of Table 3: fc_1 reads 3 x 3 x 512 values, of which the last row
    and column lie in the last pool's padding and are always zero; the 256,000 weights that make the difference are
    those that read them.
    """

    def __init__(
        self,
        rounding: Literal["floor", "half_up"],
        channels: int = 3,
        classes: int = 2,
        dropout: float = 0.5,
        input_size: int = _SIZE,
    ) -> None:
        if input_size != _SIZE:
            raise ValueError(f"its fully connected layers are for {_SIZE} x {_SIZE}")
        super().__init__(channels, input_size)
        blocks, width, side = [], channels, _SIZE
        for kernels, padding in BLOCKS:
            side += 2 * padding - 2
            extra = side % 2 if rounding == "half_up" else 0  # half of an odd side is rounded up
            blocks.append(Block(width, kernels, padding, extra))
            width, side = kernels, (side + 2 * padding + extra) // 2
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.fc_1 = nn.Linear(width * side * side, 100)
        self.fc_2 = nn.Linear(100, 50)
        self.head = nn.Linear(50, classes)

    def features(self, x: Tensor) -> Tensor:
        """float32, N x 50."""
        x = self.blocks(x).flatten(1)
        x = F.relu(self.fc_1(self.dropout(x)))
        x = F.relu(self.fc_2(self.dropout(x)))
        features: Tensor = self.dropout(x)
        return features


class Block(nn.Module):
    """3x3 convolution, batch normalization, ReLU, max-pooling."""

    def __init__(self, channels: int, kernels: int, padding: int, extra: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, kernels, 3, padding=padding)
        self.norm = nn.BatchNorm2d(kernels)
        self.pool = ReluMaxPool(padding, extra)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x kernels x about H/2 x W/2."""
        pooled: Tensor = self.pool(self.norm(self.conv(x)))
        return pooled


class ReluMaxPool(nn.Module):
    """ReLU, then the maximum of 2x2 windows, stride 2.

    The two commute. In training the ReLU comes second and meets a quarter of the values; in evaluation it comes first,
    where runtimes make it part of the convolution before it.

    Args:
        padding: on all four sides. It never wins.
        extra: zero columns on the right and rows at the bottom, beyond `padding`; a window of nothing else gives 0.
    """

    def __init__(self, padding: int = 0, extra: int = 0) -> None:
        super().__init__()
        self.padding, self.extra = padding, extra

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x C x about H/2 x W/2."""
        if not self.training:
            x = F.relu(x)
        if self.extra:
            x = F.pad(x, (0, self.extra, 0, self.extra))
        x = F.max_pool2d(x, 2, stride=2, padding=self.padding)
        return F.relu(x, inplace=True) if self.training else x


@register
def custom_cnn_table1(**options: Any) -> CustomCNN:
    """Table 1's layers, with pools that round down."""
    return CustomCNN("floor", **options)


@register
def custom_cnn_table3(**options: Any) -> CustomCNN:
    """Table 3's sizes, with pools that round half up."""
    return CustomCNN("half_up", **options)
