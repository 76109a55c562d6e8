"""A network as it is exported: the same answers in fewer or faster steps."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from facegender.networks.classifier import CropClassifier


def deployable(classifier: CropClassifier, size: int) -> nn.Module:
    """A copy of the classifier, in evaluation mode, for crops of `size` pixels.

    - Normalisation, and gray from colour, go into the first convolution's weights, unless that convolution pads (its
      zeros mean "average pixel" after normalisation and "black" before it) or the crops need enlarging. A quantised
      network then reads the bytes as they are.
    - ReLUs go back before the max-pools (`facegender.networks.build.build` puts them after): ONNX Runtime and OpenVINO
      make them part of the convolution.
    - Local response normalization sums its squares by a 1x1 convolution: faster in ONNX Runtime than its own LRN or
      PyTorch's pooling over channels, and as fast in OpenVINO as its own.

    Logits differ from those of `classifier` by rounding only. Takes uint8 N x `size` x `size` x 3, gives N x 2 float32.
    """
    classifier = copy.deepcopy(classifier).eval()
    for module in list(classifier.modules()):
        if isinstance(module, nn.Sequential):
            _rearrange(module)
    if size == classifier.size and isinstance(classifier.body, nn.Sequential):
        name, first = next(iter(classifier.body.named_children()))
        if isinstance(first, nn.Conv2d) and first.padding == (0, 0):
            classifier.body._modules[name] = _normalising(first, classifier)
            return _Bare(classifier.body)
    return classifier


class _Bare(nn.Module):
    """uint8 crops to a body whose first convolution normalises."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.body(crops.permute(0, 3, 1, 2).float())
        return logits


class _LRN(nn.Module):
    """Local response normalization, x / (k + alpha / size * sum of squares) ** 0.75, over `channels`."""

    def __init__(self, lrn: nn.LocalResponseNorm, channels: int) -> None:
        super().__init__()
        self.squares = nn.Conv2d(channels, channels, 1)
        assert self.squares.bias is not None
        out, into = torch.arange(channels)[:, None], torch.arange(channels)
        near = (into >= out - lrn.size // 2) & (into <= out + (lrn.size - 1) // 2)
        with torch.no_grad():
            self.squares.weight.copy_((near * lrn.alpha / lrn.size)[:, :, None, None])
            self.squares.bias.fill_(lrn.k)

    def forward(self, x: Tensor) -> Tensor:
        root = torch.sqrt(self.squares(x * x))
        return x / (root * torch.sqrt(root))


@torch.no_grad()
def _normalising(conv: nn.Conv2d, classifier: CropClassifier) -> nn.Conv2d:
    """The convolution of RGB bytes that equals `conv` of normalised pixels."""
    kernel = conv.weight / classifier.std
    offset = (kernel * classifier.mean).sum(dim=(1, 2, 3))
    if classifier.gray:
        kernel = kernel * classifier.luma
    folded = nn.Conv2d(
        3, conv.out_channels, (conv.kernel_size[0], conv.kernel_size[1]), (conv.stride[0], conv.stride[1])
    )
    assert folded.bias is not None
    folded.weight.copy_(kernel)
    folded.bias.copy_((0 if conv.bias is None else conv.bias) - offset)
    return folded.eval()


def _rearrange(sequence: nn.Sequential) -> None:
    """Put each ReLU before the pool that it follows, with the padding that belongs to the pool; replace each LRN."""
    modules = list(sequence.named_children())
    channels = 0
    for place, (name, module) in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            channels = module.out_channels
        elif isinstance(module, nn.LocalResponseNorm) and channels and module.beta == 0.75:
            modules[place] = (name, _LRN(module, channels))
        elif isinstance(module, nn.ReLU):
            begin = place
            while begin and isinstance(modules[begin - 1][1], (nn.MaxPool2d, nn.ZeroPad2d)):
                begin -= 1
            modules.insert(begin, modules.pop(place))
    sequence._modules.clear()
    for name, module in modules:
        sequence.add_module(name, module)
