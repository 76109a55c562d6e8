"""What is timed: networks of the registry, trained runs and ONNX files, and the crops that they get."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from facegender import weights
from facegender.errors import WeightsError
from facegender.faces.pyramid import resized
from facegender.faces.types import CROP_SIZE, Crops
from facegender.inference.runtime import Session
from facegender.lab.datasets.store import Store
from facegender.lab.export import to_onnx
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.counting import count_layers, total
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import describe, network, network_names
from facegender.lab.training.model import load_model

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


@dataclass
class Subject:
    """One network to be timed.

    Attributes:
        name: in the results.
        network: its name in the registry, None where it is not known.
        size: side of the crops that it takes, in pixels.
        parameters: trained values; of an unknown ONNX file, its floating-point constants.
        macs: multiply-accumulates a crop; None where they are not known.
        classifier: for PyTorch; None where there is only an ONNX file.
        file: the ONNX file; None where it is exported from `classifier`.
        dtype: of its input, ``uint8`` or ``float32``.
        channels_first: whether it takes N x 3 x S x S instead of N x S x S x 3.
        only_batch: the batch that is fixed in the file, None where any will do.
    """

    name: str
    network: str | None
    size: int
    parameters: int
    macs: int | None
    classifier: CropClassifier | None = None
    file: Path | None = field(default=None, repr=False)
    dtype: str = "uint8"
    channels_first: bool = False
    only_batch: int | None = None

    @cached_property
    def onnx(self) -> bytes:
        """The network as an ONNX model."""
        if self.file is not None:
            return self.file.read_bytes()
        assert self.classifier is not None
        return to_onnx(self.classifier, self.size)

    @cached_property
    def in_int8(self) -> bool:
        """Whether the file is quantised already."""
        return self.file is not None and any(n.op_type == "QuantizeLinear" for n in onnx.load(self.file).graph.node)

    def inputs(self, crops: Crops) -> npt.NDArray[Any]:
        """Crops, uint8 N x 64 x 64 x 3, as the network takes them: enlarged, in its type and layout."""
        own = np.stack([resized(crop, self.size, self.size) for crop in crops])
        if self.channels_first:
            own = own.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(own, dtype=self.dtype)


def registered(name: str) -> Subject:
    """A network of the registry, its weights as PyTorch initialises them: time does not depend on them.

    Raises:
        RecipeError: no such network.
    """
    torch.manual_seed(0)
    body = network(name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    classifier = CropClassifier(body, (127.5,) * 3, (64.0,) * 3, body.input_size).eval()
    return Subject(name, name, body.input_size, *_counts(describe(name)), classifier)


def trained(path: Path) -> Subject:
    """A finished run's ``model.safetensors``.

    Raises:
        CheckpointError: the file is absent, cut short or not one of ours.
    """
    model = load_model(path)
    described = model.recipe.describe()
    return Subject(str(path), model.recipe.network, described.input_size, *_counts(described), model.classifier.eval())


def exported(name_or_path: str) -> Subject:
    """A shipped classifier, or any ONNX file that takes one batch of square colour images.

    Raises:
        WeightsError: no such file, not an ONNX network, or another input than uint8 or float32 images of a fixed size.
    """
    path = weights.weight_path(name_or_path)
    kind, shape, _ = Session(path).signature
    spatial = {tuple(shape[1:3]): False, tuple(shape[2:4]): True} if len(shape) == 4 else {}
    fitting = [
        (side, first)
        for (side, other), first in spatial.items()
        if isinstance(side, int) and side == other and side > 4 and shape[1 if first else 3] == 3
    ]
    dtype = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}.get(kind)
    if not fitting or dtype is None:
        raise WeightsError(f"{path} takes {kind} {shape}: no batch of square colour images of a fixed size")
    size, channels_first = fitting[0]
    network, parameters, macs = _in_card(name_or_path) or (None, _constants(path), None)
    return Subject(
        name_or_path,
        network,
        size,
        parameters,
        macs,
        file=path,
        dtype=dtype,
        channels_first=channels_first,
        only_batch=shape[0] if isinstance(shape[0], int) else None,
    )


def take_crops(store: Store | None, count: int) -> Crops:
    """`count` crops spread evenly over a store, fewer where it has fewer; seeded noise without one.

    uint8, N x 64 x 64 x 3.
    """
    if store is None:
        return np.random.default_rng(0).integers(0, 256, (count, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    index = np.linspace(0, len(store) - 1, min(count, len(store))).astype(np.int64)
    return np.ascontiguousarray(store.crops[index])


def _counts(described: Network) -> tuple[int, int]:
    sums = total(count_layers(described))
    return sums.parameters, sums.macs


def _in_card(name_or_path: str) -> tuple[str, int, int | None] | None:
    """Name, parameters and multiply-accumulates of the network in the card; None without a card of a network here."""
    with suppress(WeightsError):
        card = weights.load_card(name_or_path)
        if card.network in network_names():
            parameters, macs = _counts(describe(card.network, channels=1 if card.channels == "gray" else 3))
            images = 2 if "--mirror" in card.command.split() else 1
            # Others were built for another input: their arithmetic is not known here.
            return card.network, card.parameters, images * macs if parameters == card.parameters else None
    return None


def _constants(path: Path) -> int:
    graph = onnx.load(path, load_external_data=False).graph
    return sum(prod(constant.dims) for constant in graph.initializer if constant.data_type in _FLOATS)
