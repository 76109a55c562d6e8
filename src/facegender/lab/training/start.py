"""What a network begins with instead of random weights: those of another of its kind, shipped, exported or trained.

An exported file holds batch normalization within the convolutions, perhaps in 8 bits. Here it is taken out again: crops
go through the network once, and each normalization is set so that it changes nothing. The weights of a convolution
before a normalization may have any size: they get the one that AdamW keeps weights at (A. Kosson, B. Messmer, M. Jaggi,
"Rotational equilibrium", ICML 2024). Larger ones would learn slowly, and smaller ones forget.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from facegender.errors import InputError, RecipeError, WeightsError
from facegender.faces.types import CROP_SIZE, Crops
from facegender.lab.datasets.provenance import Provenance, Seen, is_run
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.network import normalized_convolutions, trace_features
from facegender.lab.training.model import TrainedModel, classifier_from_recipe, load_model
from facegender.lab.training.recipe import Recipe
from facegender.lab.training.settings import build_settings
from facegender.weights import load_card, weight_path

#: Of the names in an exported file.
_BODY, _HEAD = "classifier.body.", "logits."
#: Crops that the normalizations are measured on.
_SOME = 1024

#: A convolution, the normalization after it, and what both add together: float32, one value a channel.
Normalized: TypeAlias = tuple[nn.Conv2d, nn.BatchNorm2d, Tensor]


@dataclass(frozen=True)
class Start:
    """The weights of a network.

    Attributes:
        name: what the user called it.
        network: its name in the registry.
        mean, std: of its input, on the 0-255 scale, one a channel.
        tensors: by the names that they have in the run, or in the exported file.
        exported: whether they are from an exported file.
        learned: the faces that it learned from.
        store: names of the stores that they are from.
    """

    name: str
    network: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tensors: Mapping[str, Tensor]
    exported: bool
    learned: Seen
    store: str

    @property
    def sha256(self) -> str:
        """Of names and weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def open_start(word: str | Path) -> Start:
    """The weights of a shipped network, of an ``.onnx`` file with its card, or of a finished run's folder.

    Raises:
        WeightsError: no such network, or a file that is damaged.
        CheckpointError: no finished run there.
    """
    if is_run(word):
        trained = load_model(Path(word))
        tensors = trained.classifier.state_dict()
        kind, learned = trained.recipe.network, trained.provenance.learned
        return Start(str(word), kind, trained.mean, trained.std, tensors, False, learned, trained.store)
    file = weight_path(word)
    card = load_card(word)
    try:
        tensors = exported_tensors(onnx.load_from_string(file.read_bytes()))
        learned = Provenance.of(file).learned
    except Exception as error:  # protobuf has errors of its own
        raise WeightsError(f"training cannot start from {word}: {error}") from error
    return Start(str(word), card.network, card.mean, card.std, tensors, True, learned, card.training_data)


def open_trained(word: str | Path, crops: Crops) -> TrainedModel:
    """A finished run; or a shipped or exported network as the run that it was, without its calibration.

    Args:
        crops: uint8, N x 64 x 64 x 3, that an exported network's normalizations are measured on.

    Raises:
        CheckpointError: no finished run there.
        WeightsError: no such network, a file that is damaged, or a card that has no recipe of its training.
    """
    if is_run(word):
        return load_model(Path(word))
    start, card = open_start(word), load_card(word)
    try:
        record = json.loads(weight_path(word).with_suffix(".json").read_text(encoding="utf-8"))
        recipe = build_settings(Recipe, record["recipe"], "recipe")
        classifier = begin(start, recipe, crops, np.arange(len(crops)))
    except (KeyError, TypeError, ValueError, InputError, RecipeError) as error:
        raise WeightsError(f"{word} cannot be exported again: {error}", remedy="export its run") from error
    return TrainedModel(
        *(classifier.eval(), recipe, start.mean, start.std),
        history=(),
        store=start.store,
        examples="",
        alignment={"template": card.template.to_dict()},
        provenance=Provenance(start.learned),
    )


def begin(start: Start, recipe: Recipe, crops: Crops, index: npt.NDArray[np.int64]) -> CropClassifier:
    """The recipe's network with the weights of another.

    Args:
        crops: uint8, N x S x S x 3.
        index: int64, the crops to learn from.

    Raises:
        InputError: the recipe is of another network.
    """
    gray = len(start.mean) == 1
    for setting, its, recipes in (
        ("network", start.network, recipe.network),
        ("colour", "gray" if gray else "rgb", recipe.colour),
    ):
        if its != recipes:
            raise InputError(
                f"{start.name} is of {setting} {its}, the recipe {recipe.name} of {recipes}",
                remedy=f"--set {setting}={its}",
            )
    classifier = classifier_from_recipe(recipe, start.mean, start.std)
    try:
        if start.exported:
            some = np.sort(np.random.default_rng(0).choice(index, min(_SOME, len(index)), replace=False))
            adamw = recipe.optimizer == "adamw"
            size = steady_size(recipe.learning_rate, recipe.weight_decay) if adamw else None
            _take_exported(classifier, start.tensors, torch.from_numpy(np.ascontiguousarray(crops[some])), size)
        else:
            classifier.load_state_dict(dict(start.tensors))
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{start.name} has other weights than {start.network} has here: {error}") from error
    return classifier


@torch.no_grad()
def _take_exported(
    classifier: CropClassifier, tensors: Mapping[str, Tensor], crops: Tensor, size: float | None
) -> None:
    body = classifier.body
    pairs = normalized_convolutions(body, trace_features(body))
    norms = {str(conv.target): str(norm.target) for conv, norm in pairs}
    first = next(name for name, module in body.named_modules() if isinstance(module, nn.Conv2d))
    normalized: list[Normalized] = []
    for name, module in body.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module is body.head:
            continue
        weight, bias = tensors[f"{_BODY}{name}.weight"], tensors[f"{_BODY}{name}.bias"]
        # Normalization, and gray from colours, are within it there (`facegender.lab.export.deploy`).
        if name == first and module.padding == (0, 0) and classifier.size == CROP_SIZE:
            if classifier.gray:
                weight = weight.sum(1, keepdim=True)  # the shares of luma have the sum 1
            bias = bias + (weight * classifier.mean).sum((1, 2, 3))
            weight = weight * classifier.std
        module.weight.copy_(weight)
        if name in norms and isinstance(module, nn.Conv2d):
            if module.bias is not None:
                module.bias.zero_()
            norm = body.get_submodule(norms[name])
            assert isinstance(norm, nn.BatchNorm2d)
            normalized.append((module, norm, bias))
        elif module.bias is not None:
            module.bias.copy_(bias)
    body.head.load_state_dict({name: tensors[_HEAD + name] for name in body.head.state_dict()})
    classifier.train()
    normalize_without_change(normalized, lambda: classifier.features(crops), size)


@torch.no_grad()
def normalize_without_change(
    normalized: Iterable[Normalized], forward: Callable[[], object], size: float | None
) -> None:
    """Set normalizations that an exported file has no more so that they change nothing but add the biases.

    Args:
        normalized: each convolution, the normalization after it, and the bias of both: float32, one a channel.
        forward: passes images through the network, in training mode.
        size: root mean square that the weights of each output channel get; None leaves them.
    """
    statistics: list[tuple[nn.BatchNorm2d, Tensor, Tensor]] = []

    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor], conv: nn.Conv2d, bias: Tensor) -> None:
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), unbiased=False)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)
        scale = torch.ones_like(mean)
        if size is not None:
            scale = size / conv.weight.square().mean((1, 2, 3)).sqrt().clamp_min(1e-12)
            conv.weight.mul_(scale[:, None, None, None])
        statistics.append((norm, mean * scale, variance * scale.square()))

    handles = [
        norm.register_forward_pre_hook(partial(measure, conv=conv, bias=bias)) for conv, norm, bias in normalized
    ]
    forward()
    for handle in handles:
        handle.remove()
    for norm, mean, variance in statistics:  # now, since the pass itself has moved them
        assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def steady_size(learning_rate: float, weight_decay: float) -> float | None:
    """The root mean square that AdamW keeps weights at; None without decay."""
    return math.sqrt(learning_rate / (2 * weight_decay)) if weight_decay else None


def exported_tensors(model: onnx.ModelProto) -> dict[str, Tensor]:
    """The weights of a network in float32, by name."""
    raw = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = {name.removesuffix("_fp16"): torch.tensor(array.astype(np.float32)) for name, array in raw.items()}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in raw:
            whole, scale, zero = (raw[name].astype(np.float32) for name in node.input)
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            shape = [-1 if d == axis % whole.ndim else 1 for d in range(whole.ndim)] if scale.ndim else []
            floats = (whole - zero.reshape(shape)) * scale.reshape(shape)
            weights[node.input[0].removesuffix("_quantized")] = torch.tensor(floats)
    return weights
