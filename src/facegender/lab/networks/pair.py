"""Two networks that answer together: the second sees the mirror image of what the first sees.

Networks that were trained apart err apart, and so do one network's answers to a face and to its mirror image. A pair
takes both gains for the arithmetic of one network that looks twice (T. G. Dietterich, "Ensemble methods in machine
learning", MCS 2000).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facegender.lab.networks.network import Network


class Pair(Network):
    """The mean of two networks' logits, as one network: features of both, then one linear layer. It takes them over.

    Raises:
        ValueError: the networks take different inputs, or give different numbers of logits.
    """

    def __init__(self, first: Network, second: Network) -> None:
        super().__init__(first.input_shape[0], first.input_size)
        if first.input_shape != second.input_shape:
            raise ValueError(f"one network takes {first.input_shape}, the other {second.input_shape}")
        heads = [first.head, second.head]
        if heads[0].out_features != heads[1].out_features:
            raise ValueError(f"one network has {heads[0].out_features} classes, the other {heads[1].out_features}")
        self.first, self.second = first, second
        self.head = nn.Linear(sum(head.in_features for head in heads), first.head.out_features)
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([head.weight for head in heads], 1) / 2)
            self.head.bias.copy_(torch.stack([head.bias for head in heads]).mean(0))
        del first.head, second.head

    def features(self, x: Tensor) -> Tensor:
        """float32, N x (features of the first + features of the second)."""
        return torch.cat([self.first.features(x), self.second.features(x.flip(3))], 1)
