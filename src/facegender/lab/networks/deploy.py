"""A network as it is exported: the same answers in fewer or faster steps."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facegender.errors import WeightsError
from facegender.lab.networks.classifier import CropClassifier


class Deployed(nn.Module):
    """uint8 crops, N x `size` x `size` x 3 RGB, to float32 probabilities of ``male``, N. In evaluation mode.

    A rearranged copy of a classifier, with softmax or calibration behind it:

    - Batch normalization goes into the convolution before it.
    - Normalisation, and gray from colour, go into the first convolution's weights, unless that convolution pads (its
      zeros mean "average pixel" after normalisation and "black" before it) or the crops need enlarging. A quantised
      network then reads the bytes as they are.
    - ReLUs go back before the max-pools (`facegender.lab.networks.build.build` puts them after): ONNX Runtime and
      OpenVINO make them part of the convolution.
    - Local response normalization sums its squares by a 1x1 convolution: faster in ONNX Runtime than its own LRN or
      PyTorch's pooling over channels, and as fast in OpenVINO as its own.
    - The mean of a whole map is a pool of its size: PyTorch's own kind is exported as a dozen steps.

    Args:
        classifier: whose body is a Sequential that ends in a Linear of two logits (female, male).
        size: side of the crops in pixels.
        calibration: from features (N x F, the input of that Linear) and logits (N x 2) to probabilities (N); None takes
            the softmax of the logits.

    Raises:
        WeightsError: another kind of body.
    """

    def __init__(self, classifier: CropClassifier, size: int, calibration: nn.Module | None = None) -> None:
        super().__init__()
        classifier = copy.deepcopy(classifier).eval()
        body = classifier.body
        last = list(body.children())[-1] if isinstance(body, nn.Sequential) else None
        if not isinstance(body, nn.Sequential) or not isinstance(last, nn.Linear):
            raise WeightsError(f"a network must end in a fully connected layer to be exported, not in {last}")
        for module in list(body.modules()):
            if isinstance(module, nn.Sequential):
                _rearrange(module)
            elif isinstance(module, nn.ReLU):
                module.inplace = False  # moved forward, it may read what others read too
        self.logits = last
        self.calibration = copy.deepcopy(calibration)
        classifier.body = body[:-1]
        self.features: nn.Module = classifier
        if size == classifier.size and _fold_normalisation(classifier.body, classifier):
            self.features = _Bare(classifier.body)
        self.eval()

    def forward(self, crops: Tensor) -> Tensor:
        """The probabilities of a batch of crops."""
        features = self.features(crops)
        logits = self.logits(features)
        if self.calibration is None:
            return torch.sigmoid(logits[:, 1] - logits[:, 0])
        p_male: Tensor = self.calibration(features, logits)
        return p_male


class _Bare(nn.Module):
    """uint8 crops to a body whose first convolution normalises."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, crops: Tensor) -> Tensor:
        features: Tensor = self.body(crops.permute(0, 3, 1, 2).float())
        return features


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


class _Average(nn.Module):
    """Mean of each map, N x C x H x W to N x C x 1 x 1; H and W are fixed in the exported graph."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, (x.shape[2], x.shape[3]))


def _fold_normalisation(sequence: nn.Module, classifier: CropClassifier) -> bool:
    """Let the first convolution normalise, where it can; whether it does."""
    name, first = next(iter(sequence.named_children()), ("", None))
    if type(first) is nn.Sequential:  # not one that also passes its input on, as a residual block does
        return _fold_normalisation(first, classifier)
    if not isinstance(first, nn.Conv2d) or first.padding != (0, 0) or first.groups != 1 or first.dilation != (1, 1):
        return False
    sequence._modules[name] = _normalising(first, classifier)
    return True


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
    """Batch normalization into convolutions, each ReLU before its pool and the padding, LRN and means replaced."""
    modules: list[tuple[str, nn.Module]] = []
    for name, module in sequence.named_children():
        if isinstance(module, nn.BatchNorm2d) and modules and isinstance(modules[-1][1], nn.Conv2d):
            modules[-1] = (modules[-1][0], fuse_conv_bn_eval(modules[-1][1], module))
        else:
            modules.append((name, module))
    channels = 0
    for place, (name, module) in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            channels = module.out_channels
        elif isinstance(module, nn.LocalResponseNorm) and channels and module.beta == 0.75:
            modules[place] = (name, _LRN(module, channels))
        elif isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            modules[place] = (name, _Average())
        elif isinstance(module, nn.ReLU):
            begin = place
            while begin and isinstance(modules[begin - 1][1], (nn.MaxPool2d, nn.ZeroPad2d)):
                begin -= 1
            modules.insert(begin, modules.pop(place))
    sequence._modules.clear()
    for name, module in modules:
        sequence.add_module(name, module)
