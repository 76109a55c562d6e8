"""What a network answered to labelled crops, in memory and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError
from facegender.lab.datasets.store import LABELS, Store
from facegender.lab.evaluation.metrics import FloatArray, IntArray, Metrics, accuracy_interval, is_right, measure
from facegender.tables import write_csv

_HEADER = ["image", "label", "p_male"]


@dataclass(frozen=True)
class Predictions:
    """Answers beside what they should be.

    Attributes:
        images: N names.
        labels: int64, N; 0 female, 1 male.
        p_male: float, N; probabilities.
        people: N names, "" where unknown; none where no person is named.
    """

    images: Sequence[str]
    labels: IntArray
    p_male: FloatArray
    people: Sequence[str] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (`facegender.lab.evaluation.metrics.accuracy_interval`)."""
        return accuracy_interval(self.right, self.people)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """N; whether the likelier answer is the label."""
        return is_right(self.labels, self.p_male)

    def measure(self) -> Metrics:
        """Compare the answers with the labels.

        Raises:
            InputError: there are not both labels.
        """
        if len(set(self.labels.tolist())) < 2:
            raise InputError(f"the {len(self.labels)} tested faces are not of both labels", remedy="test on others")
        return measure(self.labels, self.p_male)

    @classmethod
    def of(cls, store: Store, index: IntArray, p_male: FloatArray) -> Predictions:
        """The answers to the crops `index` of a store."""
        rows = index.tolist()
        images, people = ([column[i] for i in rows] for column in (store.images, store.identities))
        return cls(images, store.labels[index], p_male, people)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One line a crop: image, label, p_male.

    Probabilities keep all their digits: rounded, the surest would be equal.

    Raises:
        OutputError: the folder cannot be written.
    """
    labels = [LABELS[label] for label in predictions.labels.tolist()]
    rows = zip(predictions.images, labels, predictions.p_male.tolist(), strict=True)
    write_csv(path, [dict(zip(_HEADER, row, strict=True)) for row in rows], _HEADER)
