"""One interface to every network that can be evaluated: shipped, an ONNX file, or a finished training run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegender.errors import InputError, MissingExtraError, WeightsError
from facegender.faces.types import Crops
from facegender.inference.classifier import BATCH, GenderClassifier
from facegender.lab.datasets.provenance import Provenance, is_run
from facegender.lab.datasets.store import Store
from facegender.lab.datasets.unseen import Unseen, unseen
from facegender.lab.evaluation.metrics import FloatArray, IntArray, Predictions, p_male_from_logits
from facegender.weights import weight_path

if TYPE_CHECKING:
    from facegender.lab.training.model import TrainedModel


@dataclass(frozen=True)
class EvaluatedModel:
    """A network to evaluate.

    Attributes:
        name: of its weights, or of the folder of its run.
        network: its name in the registry.
        p_male: crops (uint8, N x 64 x 64 x 3) and M indices to M probabilities, float; calibrated in exported networks,
            the softmax of a run's logits.
        confidence: accepted error rate to the least confidence of an answer, as its card has it; None for a run: it has
            no thresholds before it is exported.
        provenance: the faces that it was trained and calibrated on.
        examples: fingerprint of its training crops (`facegender.lab.training.loop.Examples.fingerprint`), "" where
            unknown.
    """

    name: str
    network: str
    p_male: Callable[[Crops, IntArray], FloatArray]
    confidence: Callable[[float], float] | None
    provenance: Provenance
    examples: str = ""

    @classmethod
    def of(cls, trained: TrainedModel, name: str) -> EvaluatedModel:
        """A finished run's network."""
        from facegender.lab.training.model import predict_logits

        def answer(crops: Crops, index: IntArray) -> FloatArray:
            return p_male_from_logits(predict_logits(trained.classifier, crops, index))

        return cls(name, trained.recipe.network, answer, None, trained.provenance, trained.examples)

    def unseen(self, store: Store, split: str | None = None, *, by_name: bool = True) -> Unseen:
        """The faces of a store that it has not seen (`facegender.lab.datasets.unseen.unseen`)."""
        return unseen(store, self.provenance, split, network=self.name, by_name=by_name)

    def predict(self, store: Store, index: IntArray) -> Predictions:
        """Its answers to the crops `index` of a store."""
        return Predictions.of(store, index, self.p_male(store.crops, index))


def open_model(word: str | Path) -> EvaluatedModel:
    """Find a network by what a user calls it.

    Args:
        word: a shipped name, an ``.onnx`` or ``.xml`` file with its card, or a finished run's folder or
            ``model.safetensors``.

    Raises:
        WeightsError: no such name, a file that is not what its card says, or a card of unreadable provenance.
        CheckpointError: no finished run there.
        MissingExtraError: a run, without PyTorch.
    """
    if is_run(word):
        try:
            from facegender.lab.training.model import load_model
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "train") from error
        run = Path(word).resolve()
        return EvaluatedModel.of(load_model(run), run.name if run.is_dir() else run.parent.name)
    classifier = GenderClassifier(word)

    def answer(crops: Crops, index: IntArray) -> FloatArray:
        starts = range(0, len(index), BATCH)
        return np.concatenate([classifier.p_male(crops[index[start : start + BATCH]]) for start in starts])

    card, file = classifier.card, weight_path(word)
    try:
        provenance = Provenance.of(file)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise WeightsError(f"what {card.name} was trained on cannot be read: {error}") from error
    return EvaluatedModel(card.name, card.network, answer, card.confidence, provenance)


def open_models(words: Sequence[str | Path]) -> dict[str, EvaluatedModel]:
    """Several networks by name; those of one name by what the user calls them.

    Raises:
        WeightsError, CheckpointError: as for `open_model`.
        InputError: one is given twice.
    """
    opened = [(str(word), open_model(word)) for word in words]
    count = Counter(model.name for _, model in opened)
    models: dict[str, EvaluatedModel] = {}
    for word, model in opened:
        name = model.name if count[model.name] == 1 else word
        if name in models:
            raise InputError(f"two of the networks are named {model.name}", remedy="give one at a time")
        models[name] = replace(model, name=name)
    return models
