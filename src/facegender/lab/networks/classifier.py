"""A network with its preprocessing inside: bytes in, logits out, in training and in the exported file alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegender.faces.types import CROP_SIZE
from facegender.lab.networks.network import Network

#: ITU-R BT.601 luma, as cameras and OpenCV compute gray.
LUMA = (0.299, 0.587, 0.114)


class CropClassifier(nn.Module):
    """uint8 crops, N x 64 x 64 x 3 RGB, to float32 logits, N x 2 (female, male).

    Crops of the network's own size, where that is another, are taken as they are.

    Args:
        mean, std: per channel of the body's input, in units of the 0-255 scale.
        size: S; crops of another size are enlarged to it.

    Attributes:
        auxiliary: heads on the last features that only training uses, by name.
        mirror: in evaluation, features are the mean of those of a crop and of its mirror image: twice the work.
    """

    mean: Tensor
    std: Tensor
    luma: Tensor

    def __init__(self, body: Network, mean: Sequence[float], std: Sequence[float], size: int = CROP_SIZE) -> None:
        super().__init__()
        self.body = body
        self.size = size
        self.gray = len(mean) == 1
        self.auxiliary = nn.ModuleDict()
        self.mirror = False
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """Logits of a batch of crops."""
        logits: Tensor = self.body.head(self.features(crops))
        return logits

    def outputs(self, crops: Tensor) -> dict[str, Tensor]:
        """What every head gives: ``logits`` and the auxiliary ones, by name."""
        features = self.features(crops)
        return {"logits": self.body.head(features), **{name: head(features) for name, head in self.auxiliary.items()}}

    def features(self, crops: Tensor) -> Tensor:
        """What the body's head takes: float32, N x F."""
        if self.mirror and not self.training:
            return mirrored(lambda both: self.body.features(self.normalise(both)), crops)
        return self.body.features(self.normalise(crops))

    def normalise(self, crops: Tensor) -> Tensor:
        """Crops as the body takes them: float32, N x C x S x S."""
        # The permuted view of N x H x W x C bytes already is PyTorch's channels_last: nothing is copied.
        x = crops.permute(0, 3, 1, 2).float()
        if self.gray:
            x = (x * self.luma).sum(dim=1, keepdim=True)
        x = (x - self.mean) / self.std
        if x.shape[-1] != self.size:
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear")
        return x


def mirrored(features: Callable[[Tensor], Tensor], crops: Tensor) -> Tensor:
    """The mean of the features of crops, N x H x W x 3, and of their mirror images, in one batch."""
    both = features(torch.cat([crops, crops.flip(2)]))
    return both.reshape(2, -1, both.shape[1]).mean(0)
