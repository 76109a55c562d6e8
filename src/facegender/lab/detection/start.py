"""What a detector begins with instead of random weights: those of an exported one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from facegender.errors import WeightsError
from facegender.lab.networks.face_detector import FaceDetectorNetwork, weights_of
from facegender.lab.training.start import Normalized, exported_tensors, normalize_without_change


def read_detector(path: Path) -> dict[str, Tensor]:
    """The weights of an exported detector: float32, by the names of the network, normalizations within convolutions.

    Raises:
        WeightsError: the file is absent or damaged, or of another network.
    """
    network = FaceDetectorNetwork()
    try:
        tensors = weights_of(exported_tensors(onnx.load_from_string(path.read_bytes())))
        missing = network.load_state_dict(tensors, strict=False).missing_keys
    except Exception as error:  # protobuf has errors of its own
        raise WeightsError(f"training cannot start from {path}: {error}") from error
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    if strange := [name for name in missing if name.rpartition(".")[0] not in norms]:
        raise WeightsError(f"training cannot start from {path}: it has no {strange[0]}")
    return tensors


@torch.no_grad()
def begin_detector(
    network: FaceDetectorNetwork, tensors: Mapping[str, Tensor], images: Tensor, size: float | None
) -> None:
    """Give a network the weights of an exported one, in place.

    Args:
        tensors: of `read_detector`.
        images: uint8, N x S x S x 3, that the normalizations are measured on.
        size: root mean square that the weights before a normalization get; None leaves them.
    """
    network.load_state_dict(dict(tensors), strict=False)
    normalized: list[Normalized] = []
    for place, block in network.named_modules():
        layers = list(block.named_children()) if isinstance(block, nn.Sequential) else []
        for (name, conv), (_, norm) in pairwise(layers):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                normalized.append((conv, norm, tensors[f"{place}.{name}.bias"]))
    normalize_without_change(normalized, lambda: network.train()(images), size)
