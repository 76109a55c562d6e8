"""A trained network as a run leaves it: written, read, and asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from facegender.errors import CheckpointError
from facegender.faces.types import Crops
from facegender.lab.datasets.provenance import Provenance, Seen
from facegender.lab.networks.classifier import LUMA, CropClassifier
from facegender.lab.networks.network import initialize_he
from facegender.lab.networks.registry import network
from facegender.lab.training.checkpoint import MODEL, load_checkpoint
from facegender.lab.training.recipe import Recipe
from facegender.lab.training.settings import build_settings

#: In a finished run's file, the tensor with the digests of the faces that it learned from: the bits of uint64 in int64.
SEEN = "seen"


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``history.csv``; accuracies in [0, 1], the held-out ones None where nothing is held out."""

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    heldout_accuracy: float | None
    images_per_second: float


@dataclass(frozen=True)
class TrainedModel:
    """A finished run, ready to evaluate or export.

    Attributes:
        classifier: in evaluation mode, on the CPU.
        recipe: it was trained with.
        mean, std: of its input, on the 0-255 scale, one a channel.
        history: one record an epoch.
        store: name of the training data.
        examples: fingerprint of the training crops (`facegender.lab.training.loop.Examples.fingerprint`).
        alignment: how the training faces were cropped.
        provenance: the faces that it learned from.
        lessons: who taught it (`facegender.lab.training.lessons.Lessons.to_record`); empty where nobody did or it is
            not known.
    """

    classifier: CropClassifier
    recipe: Recipe
    mean: tuple[float, ...]
    std: tuple[float, ...]
    history: tuple[EpochRecord, ...]
    store: str
    examples: str
    alignment: Mapping[str, Any]
    provenance: Provenance
    lessons: Mapping[str, Any] = field(default_factory=dict)


def classifier_from_recipe(recipe: Recipe, mean: Sequence[float], std: Sequence[float]) -> CropClassifier:
    """The recipe's network, freshly initialised, behind its preprocessing."""
    body = network(recipe.network, **recipe.network_options())
    if recipe.initialization == "he":
        initialize_he(body)
    body = body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch leaves it out of the stub
    return CropClassifier(body, mean, std, body.input_size)


def load_model(path: Path) -> TrainedModel:
    """Read a finished run: its folder, or its ``model.safetensors``.

    Raises:
        CheckpointError: the file is absent, cut short or not one of ours.
    """
    path = path / MODEL if path.is_dir() else path
    saved = load_checkpoint(path)
    try:
        recipe = build_settings(Recipe, saved.details["recipe"], "recipe")
        mean, std = tuple(saved.details["mean"]), tuple(saved.details["std"])
        history = tuple(EpochRecord(**record) for record in saved.details["history"])
        classifier = classifier_from_recipe(recipe, mean, std)
        # What only training uses stays in the file.
        tensors = {name: tensor for name, tensor in saved.tensors.items() if not name.startswith("auxiliary.")}
        faces = tensors.pop(SEEN, None)
        classifier.load_state_dict(tensors)
        lessons = dict(saved.details.get("lessons", {}))
        origin = (saved.details["store"], saved.details["examples"], saved.details["alignment"])
        if (record := saved.details.get("learned_from")) is None:  # from before provenance was recorded
            provenance = Provenance.named(saved.details["store"])
        else:
            digests = None if faces is None else faces.numpy().view(np.uint64)
            provenance = Provenance(Seen.from_record(record, digests))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a finished model: {error}") from error
    return TrainedModel(classifier.eval(), recipe, mean, std, history, *origin, provenance, lessons)


def predict_logits(classifier: CropClassifier, crops: Crops, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """float32 logits, len(index) x 2, in evaluation mode and full precision."""
    logits: npt.NDArray[np.float32] = torch.cat([two for _, two in _asked(classifier, crops, index)]).numpy()
    return logits


def features_and_logits(
    classifier: CropClassifier, crops: Crops, index: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What the network's last layer takes and gives: float32, N x F features and N x 2 logits, one row an index.

    Args:
        crops: uint8, M x 64 x 64 x 3.
        index: which of them, N, at least one.
    """
    features, logits = zip(*_asked(classifier, crops, index), strict=True)
    return torch.cat(features).numpy(), torch.cat(logits).numpy()


@torch.inference_mode()
def _asked(
    classifier: CropClassifier, crops: Crops, index: npt.NDArray[np.int64]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The features and the logits of some crops at a time."""
    device = next(classifier.parameters()).device
    was_training = classifier.training
    classifier.eval()
    for chunk in np.split(index, range(250, len(index), 250)):
        features = classifier.features(torch.from_numpy(np.ascontiguousarray(crops[chunk])).to(device))
        yield features.float().cpu(), classifier.body.head(features).float().cpu()
    classifier.train(was_training)


def channel_statistics(
    crops: Crops, index: npt.NDArray[np.int64], *, gray: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each input channel over the training crops, on the 0-255 scale."""
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for part in np.split(np.sort(index), range(1000, len(index), 1000)):
        pixels = crops[part].reshape(-1, 3).astype(np.float32)
        if gray:
            pixels = (pixels @ np.array(LUMA, np.float32))[:, None]
        total, squares = total + pixels.sum(0, np.float64), squares + np.square(pixels).sum(0, np.float64)
        count += len(pixels)
    channels = 1 if gray else 3
    mean = total[:channels] / count
    std = np.sqrt(np.maximum(squares[:channels] / count - mean**2, 1.0))
    return tuple(float(v) for v in mean.round(2)), tuple(float(v) for v in std.round(2))
