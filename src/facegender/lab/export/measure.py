"""What is said of an exported network: the faces that it is validated and tested on, thresholds, measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegender.errors import InputError
from facegender.faces.types import PLACES, Crops
from facegender.inference.classifier import BATCH
from facegender.lab.datasets.provenance import Provenance
from facegender.lab.datasets.store import Store
from facegender.lab.datasets.unseen import unseen
from facegender.lab.evaluation.metrics import (
    FloatArray,
    IntArray,
    Predictions,
    answered,
    brier_score,
    confidence_for_error,
    expected_calibration_error,
    is_right,
)
from facegender.progress import track
from facegender.tables import rounded

#: Accepted error rates for which a card has a least confidence.
ERRORS = ("0.005", "0.01", "0.02", "0.05", "0.1")
#: Those for which it has the coverage and the error on each test set.
TESTED_ERRORS = ("0.01", "0.02")
#: More validation crops of one store are not used.
MOST_CROPS = 4000

_SEED = 2020


@dataclass(frozen=True)
class EvaluationCrops:
    """Some crops of a store.

    Attributes:
        name: of the store and its split.
        store: the data.
        index: int64, N, ascending.
        left_out: others that the network has seen.
    """

    name: str
    store: Store
    index: IntArray
    left_out: int = 0

    @property
    def people(self) -> list[str]:
        """N names, "" where unknown."""
        return [self.store.identities[i] for i in self.index.tolist()]

    @property
    def labels(self) -> IntArray:
        """int64, N; 0 female, 1 male."""
        return self.store.labels[self.index]


def validation_faces(stores: Sequence[Store], provenance: Provenance, network: str) -> list[EvaluationCrops]:
    """Crops of the validation split of each store, at most `MOST_CROPS` of one, drawn with a fixed seed.

    Args:
        provenance: of the network; faces that it learned from are left out.

    Raises:
        InputError: a store has no validation split, the network learned from all of it, or what was drawn of it has
            only one label.
    """
    rng, faces = np.random.default_rng(_SEED), []
    for store in stores:
        if not len(store.split("validation")):
            raise InputError(f"store {store.name} has no validation split", remedy="leave it out of --validate")
        index = unseen(store, provenance, "validation", network=network, calibrating=True).index
        drawn = np.sort(rng.permutation(index)[:MOST_CROPS])
        faces.append(_of_both_labels(EvaluationCrops(f"{store.name} validation", store, drawn)))
    return faces


def balanced(faces: Sequence[EvaluationCrops]) -> FloatArray:
    """The weight of each crop, float64, mean 1: every store counts the same in what is fitted, whatever its size."""
    counts = [len(some.index) for some in faces]
    return np.concatenate([np.full(count, sum(counts) / len(counts) / count) for count in counts])


def faces_to_test(stores: Sequence[Store], provenance: Provenance, network: str) -> list[EvaluationCrops]:
    """The test split of the stores that a network knows, all crops of the others; without faces that it has seen.

    Args:
        provenance: of the network, with the faces that it was calibrated on.

    Raises:
        InputError: a known store without a test split, one of which all is seen, or only one label to test on.
    """
    found = [(store, unseen(store, provenance, network=network)) for store in stores]
    return [
        _of_both_labels(EvaluationCrops(f"{store.name} {new.split}", store, new.index, new.left_out))
        for store, new in found
    ]


def answers(run: Callable[[Crops], FloatArray], faces: EvaluationCrops, what: str) -> FloatArray:
    """What a network says to the faces, one row each, while a progress bar counts batches of them."""
    crops, index, starts = faces.store.crops, faces.index, range(0, len(faces.index), BATCH)
    watched = track(starts, f"{what}, {faces.name}", len(starts))
    return np.concatenate([run(np.ascontiguousarray(crops[index[start : start + BATCH]])) for start in watched])


def thresholds(labels: IntArray, p_male: FloatArray, weights: FloatArray | None = None) -> dict[str, float]:
    """For each of `ERRORS` the least confidence, of probabilities as records show them, and with as many decimals.

    Args:
        weights: N, as for `confidence_for_error`.
    """
    shown = np.array([round(p, PLACES) for p in p_male.tolist()])
    return {rate: round(confidence_for_error(labels, shown, float(rate), weights), PLACES) for rate in ERRORS}


def accuracy(labels: IntArray, p_male: FloatArray) -> float:
    """Share of right answers."""
    return float(is_right(labels, p_male).mean())


def tested(faces: EvaluationCrops, p_male: FloatArray, confidences: Mapping[str, float]) -> dict[str, Any]:
    """The measures of one test set, for the card: all in [0, 1] but the count."""
    predictions, labels = Predictions.of(faces.store, faces.index, p_male), faces.labels
    low, high = predictions.interval
    at = {rate: answered(labels, p_male, confidences[rate]) for rate in TESTED_ERRORS}
    return {
        **rounded(predictions.measure().to_dict()),
        "accuracy_wilson_95": [round(low, 5), round(high, 5)],
        "expected_calibration_error": round(expected_calibration_error(labels, p_male), 5),
        "brier_score": round(brier_score(labels, p_male), 5),
        "answered": {
            rate: {"coverage": round(share, 5), "error": round(error, 5)} for rate, (share, error) in at.items()
        },
    }


def _of_both_labels(faces: EvaluationCrops) -> EvaluationCrops:
    if len(set(faces.labels.tolist())) < 2:
        raise InputError(f"the crops of {faces.name} are not of both labels", remedy="leave that store out")
    return faces
