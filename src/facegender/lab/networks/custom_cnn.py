"""The paper's network: F. H. Kamaru Zaman, IJECE 10(6), 2020, pp. 5758-5771, Table 1.

Seven blocks of 3x3 convolution, batch normalization, ReLU and 2x2 max-pooling, then three fully
connected layers of 100, 50 and 2, for aligned 64x64 faces.
"""

from __future__ import annotations

from typing import Literal

from facegender.lab.networks.layers import (
    BatchNorm,
    Conv,
    Dropout,
    Layer,
    Linear,
    MaxPool,
    Network,
    ReLU,
    Rounding,
)

#: Convolution kernels of each block, and the padding of its convolution and of its pool (Table 1).
BLOCKS = ((8, 0), (16, 0), (32, 0), (64, 1), (128, 1), (256, 1), (512, 1))


def custom_cnn(
    pooling: Literal["table1", "table3"] = "table1", channels: int = 3, classes: int = 2, dropout: float = 0.5
) -> Network:
    """The custom CNN, 64 x 64 x `channels` in.

    The paper gives two networks. `table1` takes its list of layers literally, so pools round down,
    as frameworks do: fc_1 reads 2 x 2 x 512 values and there are 1,785,796 parameters (RGB).
    `table3` reaches the feature sizes and the 2,041,796 parameters of the paper's Table 3, which
    follow from rounding half up: fc_1 reads 3 x 3 x 512 values, of which the last row and column
    lie wholly in the last pool's padding and are always zero; the 256,000 weights that make the
    difference are those that read them.
    """
    rounding: Rounding = "floor" if pooling == "table1" else "half_up"
    layers: list[Layer] = []
    for number, (kernels, padding) in enumerate(BLOCKS, start=1):
        layers += [
            Conv(f"conv_{number}", kernels, kernel=3, padding=padding),
            BatchNorm(f"batchnorm_{number}"),
            ReLU(),
            MaxPool(kernel=2, stride=2, padding=padding, rounding=rounding),
        ]
    layers += [Dropout(dropout), Linear("fc_1", 100), ReLU()]
    layers += [Dropout(dropout), Linear("fc_2", 50), ReLU()]
    layers += [Dropout(dropout), Linear("fc_3", classes)]
    return Network(f"custom-cnn-{pooling}", 64, channels, classes, tuple(layers), mini_batch=500)
