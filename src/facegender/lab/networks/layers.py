"""What a network is made of, as plain data: no torch, so that counting and listing stay light.

Every feature map is square, as in the paper. Sizes follow its equations 1 (convolution) and
2 (pooling), with the padding term that equation 2 leaves out and a stated rounding rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Rounding = Literal["floor", "ceil", "half_up"]


class Shape(NamedTuple):
    """One sample's features: `channels` maps of `size` x `size` values; `size` is None for a vector."""

    channels: int
    size: int | None

    @property
    def values(self) -> int:
        """How many values the sample has."""
        return self.channels * (self.size or 1) ** 2

    def __str__(self) -> str:
        if self.size is None:
            return f"{self.channels}x1"
        return f"{self.size}x{self.size}x{self.channels}"


@dataclass(frozen=True)
class Conv:
    """Convolution to `channels` maps with a square kernel and zero padding on all four sides."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization over channels, with a learnt scale and offset (Ioffe & Szegedy, 2015)."""

    name: str


@dataclass(frozen=True)
class ReLU:
    """max(0, x)."""


@dataclass(frozen=True)
class LRN:
    """Local response normalization over `size` neighbouring channels.

    x / (k + alpha / size * sum of squares) ** beta: alpha is divided by the window, as in Caffe,
    MATLAB and PyTorch. The equation in Krizhevsky et al. (2012), section 3.3, does not divide.
    """

    size: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class MaxPool:
    """Maximum over square windows.

    `half_up` rounds the output size to the nearest whole number, halves up; it is realised by
    `extra_padding` on the right and bottom. `ceil` is PyTorch's and Caffe's `ceil_mode`: it drops
    a window that would start in the right or bottom padding.
    """

    kernel: int
    stride: int
    padding: int = 0
    rounding: Rounding = "floor"


@dataclass(frozen=True)
class AvgPool:
    """Mean over square windows, without padding."""

    kernel: int
    stride: int


@dataclass(frozen=True)
class Dropout:
    """Zeroes each value with probability `p` while training."""

    p: float


@dataclass(frozen=True)
class Linear:
    """Fully connected layer; feature maps before it are flattened in channel, row, column order."""

    name: str
    features: int


@dataclass(frozen=True)
class Branches:
    """Branches that read the same input; their outputs are joined on the channel axis (inception)."""

    name: str
    branches: tuple[tuple[Layer, ...], ...]


@dataclass(frozen=True)
class GlobalAvgPool:
    """Mean over the whole map, whatever its size: one value a channel."""


@dataclass(frozen=True)
class Residual:
    """x + layers(x), for layers that keep the shape (K. He et al., CVPR 2016)."""

    name: str
    layers: tuple[Layer, ...]


Layer = Conv | BatchNorm | ReLU | LRN | MaxPool | AvgPool | GlobalAvgPool | Dropout | Linear | Branches | Residual


@dataclass(frozen=True)
class Network:
    """A whole network: takes `channels` x `input_size` x `input_size`, gives one logit a class.

    `mini_batch` is the number of images a training step uses in the paper (Table 4).
    """

    name: str
    input_size: int
    channels: int
    classes: int
    layers: tuple[Layer, ...]
    mini_batch: int

    @property
    def input_shape(self) -> Shape:
        """The shape of one input sample."""
        return Shape(self.channels, self.input_size)


def conv_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Width of a convolution's output (equation 1): floor((I - K + 2P) / S) + 1.

    Raises ValueError where the kernel does not fit.
    """
    if size + 2 * padding < kernel:
        raise ValueError(f"a kernel of {kernel} does not fit an input of {size} with padding {padding}")
    return (size - kernel + 2 * padding) // stride + 1


def pool_size(size: int, kernel: int, stride: int, padding: int = 0, rounding: Rounding = "floor") -> int:
    """Width of a pooling layer's output (equation 2 with a padding term): round((I + 2P - Ps) / S) + 1.

    Raises ValueError where the window does not fit.
    """
    span = size + 2 * padding - kernel
    if span < 0:
        raise ValueError(f"a window of {kernel} does not fit an input of {size} with padding {padding}")
    if rounding == "floor":
        return span // stride + 1
    if rounding == "half_up":
        return (2 * span + stride) // (2 * stride) + 1
    output = -(-span // stride) + 1
    return output - 1 if (output - 1) * stride >= size + padding else output


def extra_padding(size: int, pool: MaxPool) -> int:
    """Columns (and rows) a `half_up` pool adds on the right (and bottom), beyond its own padding."""
    if pool.rounding != "half_up":
        return 0
    output = pool_size(size, pool.kernel, pool.stride, pool.padding, pool.rounding)
    return max(0, (output - 1) * pool.stride + pool.kernel - (size + 2 * pool.padding))


def output_shape(layer: Layer, shape: Shape) -> Shape:  # noqa: PLR0911 (one return a layer)
    """The shape that `layer` makes of `shape`.

    Raises ValueError where the layer cannot take it: a kernel too large, a convolution or pool
    after the features were flattened, branches that give maps of different sizes, a residual
    block that changes the shape.
    """
    match layer:
        case Conv():
            return Shape(layer.channels, conv_size(_width(shape), layer.kernel, layer.stride, layer.padding))
        case MaxPool():
            width = pool_size(_width(shape), layer.kernel, layer.stride, layer.padding, layer.rounding)
            return Shape(shape.channels, width)
        case AvgPool():
            return Shape(shape.channels, pool_size(_width(shape), layer.kernel, layer.stride))
        case Linear():
            return Shape(layer.features, None)
        case Branches():
            ends = [_end(branch, shape) for branch in layer.branches]
            if len({end.size for end in ends}) != 1:
                raise ValueError(f"the branches of {layer.name} give different sizes: {', '.join(map(str, ends))}")
            return Shape(sum(end.channels for end in ends), ends[0].size)
        case GlobalAvgPool():
            return Shape(shape.channels, 1)
        case Residual():
            if (end := _end(layer.layers, shape)) != shape:
                raise ValueError(f"{layer.name} adds {end} to {shape}")
            return shape
        case _:
            return shape


def trace(layers: tuple[Layer, ...], shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Each layer with the shape it takes and the shape it gives, starting from `shape`."""
    for layer in layers:
        after = output_shape(layer, shape)
        yield layer, shape, after
        shape = after


def _end(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    for _, _, after in trace(layers, shape):
        shape = after
    return shape


def _width(shape: Shape) -> int:
    if shape.size is None:
        raise ValueError("a convolution or pool cannot follow a fully connected layer")
    return shape.size
