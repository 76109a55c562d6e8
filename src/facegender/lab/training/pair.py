"""Two trained networks as one (`facegender.lab.networks.pair`), to be exported."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegender.errors import InputError, WeightsError
from facegender.faces.types import Crops
from facegender.lab.datasets.provenance import Provenance
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.network import normalized_convolutions, reading_convolutions, trace_features
from facegender.lab.networks.pair import Pair
from facegender.lab.training.model import TrainedModel, load_model
from facegender.lab.training.recipe import recipe_from_dict
from facegender.lab.training.start import begin, open_start
from facegender.weights import list_models, load_card, weight_path


def open_trained(word: str | Path, crops: Crops) -> TrainedModel:
    """A finished run, or a shipped or exported network as if its run were here.

    Args:
        word: folder of a run or its ``model.safetensors``; or the name of a shipped network, or an ``.onnx`` file.
        crops: uint8, N x 64 x 64 x 3, a few faces, for an exported network (`facegender.lab.training.start`).

    Raises:
        CheckpointError: no finished run there.
        WeightsError: no such network, or its card does not say how it was trained.
    """
    path = Path(word)
    if path.is_dir() or not (path.suffix == ".onnx" or word in list_models()):
        return load_model(path)
    start, card = open_start(word), load_card(word)
    try:
        recipe = recipe_from_dict(json.loads(weight_path(word).with_suffix(".json").read_text())["recipe"])
    except KeyError as error:
        raise WeightsError(f"the card of {word} does not say how it was trained") from error
    # Without weight decay the weights keep the size that they have.
    classifier = begin(start, replace(recipe, weight_decay=0.0), crops, np.arange(len(crops)))
    return TrainedModel(
        classifier.eval(),
        recipe,
        start.mean,
        start.std,
        (),
        card.training_data,
        "",
        {"template": card.template.to_dict()},
        Provenance(start.learned),
    )


def paired(first: TrainedModel, second: TrainedModel) -> TrainedModel:
    """Both as one network, which has seen what both have seen; its recipe is that of the first.

    Raises:
        InputError: they take different crops, or their inputs are normalised differently and cannot be made alike.
    """
    if first.alignment["template"] != second.alignment["template"]:
        raise InputError(f"{first.store} and {second.store} are cropped differently: two networks must see the same")
    other = copy.deepcopy(second.classifier)
    _renormalise(other, first.classifier)
    try:
        body = Pair(copy.deepcopy(first.classifier.body), other.body)
    except ValueError as error:
        raise InputError(f"these two cannot answer together: {error}") from error
    return replace(
        first,
        classifier=CropClassifier(body, first.mean, first.std, first.classifier.size).eval(),
        store="+".join(dict.fromkeys(f"{first.store}+{second.store}".split("+"))),
        examples="",
        provenance=Provenance(first.provenance.learned | second.provenance.learned),
    )


@torch.no_grad()
def _renormalise(classifier: CropClassifier, like: CropClassifier) -> None:
    """Let a network take the input of another: the difference goes into the convolutions that read it."""
    if torch.equal(classifier.mean, like.mean) and torch.equal(classifier.std, like.std):
        return
    body = classifier.body
    graph = trace_features(body)
    norms = {str(conv.target): str(norm.target) for conv, norm in normalized_convolutions(body, graph)}
    names = reading_convolutions(body, graph)
    convolutions = [conv for name in names if isinstance(conv := body.get_submodule(name), nn.Conv2d)]
    if not names or any(conv.padding != (0, 0) for conv in convolutions):
        raise InputError(
            "one of these two networks pads its input, and they were trained with different mean and std of pixels",
            remedy="train both on the same store",
        )
    for name, conv in zip(names, convolutions, strict=True):
        weight: Tensor = conv.weight / classifier.std
        offset = (weight * (like.mean - classifier.mean)).sum((1, 2, 3))
        conv.weight.copy_(weight * like.std)
        if name in norms:
            mean = body.get_buffer(f"{norms[name]}.running_mean")
            mean.sub_(offset)
        else:
            conv.bias = nn.Parameter(offset if conv.bias is None else conv.bias + offset)
