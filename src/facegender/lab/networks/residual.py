"""Our own networks: small residual ones (K. He et al., "Deep residual learning", CVPR 2016) for 64 x 64 faces.

Where the paper's network spends its time on large maps of few channels, these halve the map twice at once and spend
it on small maps of many: more arithmetic a millisecond. The first convolution does not pad, so that normalisation
folds into it (`facegender.lab.networks.deploy`). Any input of 32 pixels or more fits, since the last map is averaged.
"""

from __future__ import annotations

from facegender.lab.networks.layers import (
    BatchNorm,
    Conv,
    Dropout,
    GlobalAvgPool,
    Layer,
    Linear,
    Network,
    ReLU,
    Residual,
)


def residual(
    stem: int,
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    name: str,
    *,
    channels: int = 3,
    classes: int = 2,
    dropout: float = 0.0,
    input_size: int = 64,
) -> Network:
    """A residual network.

    Args:
        stem: channels of the first convolution, at half the input's size.
        widths: channels of each stage; each halves the size of the map.
        blocks: residual blocks of each stage.
        name: of the network.
        channels: of the input.
        classes: logits.
        dropout: before the last layer.
        input_size: side of the input.
    """
    layers: list[Layer] = list(_unit("stem", stem, stride=2, padding=0))
    for number, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        layers += _unit(f"stage_{number}", width, stride=2)
        for block in range(1, count + 1):
            inner = (*_unit("a", width), Conv("conv_b", width, 3, padding=1, bias=False), BatchNorm("batchnorm_b"))
            layers += [Residual(f"block_{number}_{block}", inner), ReLU()]
    layers += [GlobalAvgPool(), Dropout(dropout), Linear("fc", classes)]
    return Network(name, input_size, channels, classes, tuple(layers), mini_batch=256)


def _unit(name: str, width: int, stride: int = 1, padding: int = 1) -> tuple[Layer, ...]:
    conv = Conv(f"conv_{name}", width, 3, stride=stride, padding=padding, bias=False)
    return conv, BatchNorm(f"batchnorm_{name}"), ReLU()
