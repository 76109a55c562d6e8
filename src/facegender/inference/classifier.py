"""From crops to calibrated answers, and other labels for answers that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from facegender.errors import WeightsError
from facegender.faces.types import CROP_SIZE, PLACES, Crops, Label, Prediction, check_crops
from facegender.formats.records import Record
from facegender.inference.options import Options
from facegender.inference.runtime import open_network
from facegender.weights import load_card, weight_path

#: Keeps memory flat however many crops come at once.
BATCH = 256


class GenderClassifier:
    """Estimates how aligned faces are likely to be perceived.

    Args:
        model, device, threads, max_error, min_confidence: as for `facegender.Options`.

    Raises:
        WeightsError: unknown model, or a file that is not what its card says.
        InputError: no such device, a number out of range, or both `max_error` and `min_confidence`.
        MissingExtraError: the model is OpenVINO's, which is not installed.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
        *,
        max_error: float | None = None,
        min_confidence: float | None = None,
    ) -> None:
        options = Options(
            model=model, device=device, threads=threads, max_error=max_error, min_confidence=min_confidence
        )
        self.card = load_card(model)
        self.min_confidence = options.confidence(self.card)
        self._path = weight_path(model)
        self._network = open_network(self._path, device, threads)
        kind, shape, outputs = self._network.signature
        if kind != "tensor(uint8)" or shape[1:] != [CROP_SIZE, CROP_SIZE, 3] or outputs != 1:
            raise WeightsError(
                f"{self._path} takes {kind} {shape} and gives {outputs} outputs: no classifier of "
                f"uint8 N x {CROP_SIZE} x {CROP_SIZE} x 3 crops"
            )

    @classmethod
    def of(cls, options: Options) -> Self:
        """The classifier of the options; errors as for the class."""
        return cls(
            options.model,
            options.device,
            options.threads,
            max_error=options.max_error,
            min_confidence=options.min_confidence,
        )

    def p_male(self, crops: Crops) -> npt.NDArray[np.float32]:
        """Calibrated probabilities that faces are perceived as male: float32, N, in [0, 1].

        Args:
            crops: uint8, N x 64 x 64 x 3, RGB; N may be 0.

        Raises:
            InputError: another dtype or shape.
            WeightsError: the network gives something else than a probability a crop.
        """
        check_crops(crops)
        p_male = np.empty(len(crops), dtype=np.float32)
        for start in range(0, len(crops), BATCH):
            batch = np.ascontiguousarray(crops[start : start + BATCH])
            output = self._network.run(batch)
            if output.shape != (len(batch),) or not ((output >= 0) & (output <= 1)).all():
                raise WeightsError(f"{self._path} gives no probability a crop, but {output.dtype} {output.shape}")
            p_male[start : start + BATCH] = output
        return p_male

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """The columns of `predict_proba`, as in scikit-learn."""
        return np.array(["female", "male"])

    def predict_proba(self, crops: Crops) -> npt.NDArray[np.float64]:
        """Calibrated probabilities of `classes_`: float64, N x 2, each row with the sum 1.

        Arguments and errors as for `p_male`.
        """
        p_male = self.p_male(crops).astype(np.float64)
        return np.stack([1 - p_male, p_male], axis=1)

    def predict(self, crops: Crops) -> list[Prediction]:
        """One answer a crop; arguments and errors as for `p_male`."""
        return [self.prediction(p) for p in self.p_male(crops).tolist()]

    def prediction(self, p_male: float) -> Prediction:
        """The answer that a calibrated probability allows."""
        return prediction_for(p_male, self.min_confidence)


def prediction_for(p_male: float, min_confidence: float) -> Prediction:
    """The answer that a calibrated probability allows, where less than `min_confidence` is too little.

    The probability is rounded first, so that the label follows from the number in the record.
    """
    p_male = round(p_male, PLACES)
    confidence = round(max(p_male, 1 - p_male), PLACES)
    label: Label = "uncertain" if confidence < min_confidence else "male" if p_male >= 0.5 else "female"
    return Prediction(p_male, label)


def relabelled(record: Record, min_confidence: float) -> Record:
    """The record that a new analysis of the same photo or video would give with another least confidence.

    Where a label is another, the record no longer names a copy of the photo with its labels drawn in.

    Args:
        record: of a photo, a video, or the sightings in one, which have no labels.
        min_confidence: below it an answer is ``uncertain``; in [0.5, 1].
    """

    def label(item: Record) -> Label:
        return prediction_for(item["p_male"], min_confidence).for_quality(item["quality"]).label

    key = next((key for key in ("faces", "tracks") if key in record), None)
    if key is None:
        return record
    items = [each | {"label": label(each)} for each in record[key]]
    if items == record[key]:
        return record
    return {name: value for name, value in record.items() if name != "annotated"} | {key: items}
