"""What every classification network gives, however it is built."""

from __future__ import annotations

from torch import Tensor, nn


class Network(nn.Module):
    """Normalised float32 images, N x C x S x S, to float32 logits, N x classes: features, then one linear layer.

    There is no softmax at the end: the loss and the export add it. Weights start as PyTorch starts them, uniform in
    +-1/sqrt(fan in): He's normal initialisation, with three dropouts and a rate of 0.1, stays at the majority class
    for several epochs (results/paper/recipe_search.csv).

    A subclass sets `head` and defines `features`. Nothing else is asked of it: training, calibration and export use
    these two.

    Attributes:
        input_shape: C, S, S.
        head: the linear layer from features to logits.
    """

    head: nn.Linear

    def __init__(self, channels: int, input_size: int) -> None:
        super().__init__()
        self.input_shape = (channels, input_size, input_size)

    @property
    def input_size(self) -> int:
        """S, in pixels."""
        return self.input_shape[-1]

    def features(self, x: Tensor) -> Tensor:
        """What the head takes: float32, N x F."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.head(self.features(x))
        return logits


def initialize_he(module: nn.Module) -> None:
    """Draw all weights: normal with variance 2 / fan in, biases zero (K. He et al., ICCV 2015)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
