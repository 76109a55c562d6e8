"""GoogLeNet: C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, Table 1.

Without the two auxiliary heads, which only serve training from scratch. Local response
normalization and pools that round up are those of the authors' Caffe release; batch
normalization came with its successors.
"""

from __future__ import annotations

from facegender.lab.networks.layers import (
    LRN,
    AvgPool,
    Branches,
    Conv,
    Dropout,
    Layer,
    Linear,
    MaxPool,
    Network,
    ReLU,
    Shape,
    trace,
)

_LRN = LRN(size=5, alpha=1e-4, beta=0.75, k=1.0)
_POOL = MaxPool(kernel=3, stride=2, rounding="ceil")

#: Output channels: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; 1x1 after the pool (Table 1, columns 5-10).
_INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(channels: int = 3, classes: int = 2, dropout: float = 0.4, input_size: int = 224) -> Network:
    """GoogLeNet for 224 x 224 x `channels`: 6,998,552 parameters (RGB) at 1000 classes, 5,975,602 at 2.

    The last pool averages the whole feature map, 7 x 7 at 224, whatever the `input_size`.
    """
    features: tuple[Layer, ...] = (
        *(Conv("conv_1", 64, kernel=7, stride=2, padding=3), ReLU(), _POOL, _LRN),
        *(Conv("conv_2_reduce", 64, kernel=1), ReLU()),
        *(Conv("conv_2", 192, kernel=3, padding=1), ReLU(), _LRN, _POOL),
        *(_inception("3a"), _inception("3b"), _POOL),
        *(_inception("4a"), _inception("4b"), _inception("4c"), _inception("4d"), _inception("4e"), _POOL),
        *(_inception("5a"), _inception("5b")),
    )
    last = [after for _, _, after in trace(features, Shape(channels, input_size))][-1]
    layers = (*features, AvgPool(kernel=last.size or 1, stride=1), Dropout(dropout), Linear("fc", classes))
    return Network("googlenet", input_size, channels, classes, layers, mini_batch=30)


def _inception(key: str) -> Layer:
    one, reduce_3, three, reduce_5, five, pooled = _INCEPTION[key]
    return Branches(
        f"inception_{key}",
        (
            (Conv("conv_1x1", one, kernel=1), ReLU()),
            (
                Conv("reduce_3x3", reduce_3, kernel=1),
                ReLU(),
                Conv("conv_3x3", three, kernel=3, padding=1),
                ReLU(),
            ),
            (
                Conv("reduce_5x5", reduce_5, kernel=1),
                ReLU(),
                Conv("conv_5x5", five, kernel=5, padding=2),
                ReLU(),
            ),
            (MaxPool(kernel=3, stride=1, padding=1), Conv("pool_1x1", pooled, kernel=1), ReLU()),
        ),
    )
