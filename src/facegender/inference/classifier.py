"""From crops to calibrated answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError, WeightsError
from facegender.faces.types import CROP_SIZE, Crops, Label, Prediction
from facegender.inference.runtime import Session
from facegender.weights import DEFAULT, load_card, onnx_path

#: Keeps memory flat however many crops come at once.
BATCH = 256


class GenderClassifier:
    """Estimates how aligned faces are likely to be perceived.

    Args:
        model: a name from `facegender.weights.names()`, or the path of an ``.onnx`` file with its card.
        device: ``cpu``, ``cuda`` or ``auto``.
        threads: CPU threads; None takes all cores.
        min_confidence: in [0.5, 1]; answers below it are ``uncertain``. None takes the card's value.

    Raises:
        WeightsError: unknown model, or a file that is not what its card says.
        InputError: no such device, or a confidence out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
        min_confidence: float | None = None,
    ) -> None:
        model = DEFAULT if model is None else model
        self.card = load_card(model)
        self.min_confidence = self.card.min_confidence if min_confidence is None else min_confidence
        if not 0.5 <= self.min_confidence <= 1:
            raise InputError(f"the least confidence must lie in [0.5, 1], not {self.min_confidence}")
        self._path = onnx_path(model)
        self._session = Session(self._path, device, threads)
        kind, shape, outputs = self._session.signature
        if kind != "tensor(uint8)" or shape[1:] != [CROP_SIZE, CROP_SIZE, 3] or outputs != 1:
            raise WeightsError(
                f"{self._path} takes {kind} {shape} and gives {outputs} outputs: no classifier of "
                f"uint8 N x {CROP_SIZE} x {CROP_SIZE} x 3 crops"
            )

    def logits(self, crops: Crops) -> npt.NDArray[np.float32]:
        """The network's output, not yet calibrated: float32, N x 2 (female, male).

        Args:
            crops: uint8, N x 64 x 64 x 3, RGB; N may be 0.

        Raises:
            InputError: another dtype or shape.
            WeightsError: the network gives something else than N x 2 finite numbers.
        """
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise InputError(
                f"crops must be uint8, N x {CROP_SIZE} x {CROP_SIZE} x 3, not {crops.dtype}, {crops.shape}"
            )
        logits = np.empty((len(crops), 2), dtype=np.float32)
        for start in range(0, len(crops), BATCH):
            batch = np.ascontiguousarray(crops[start : start + BATCH])
            output = self._session.run(batch)
            if output.shape != (len(batch), 2) or not np.isfinite(output).all():
                raise WeightsError(f"{self._path} gives no two finite logits a crop: {output.shape}")
            logits[start : start + BATCH] = output
        return logits

    def predict(self, crops: Crops) -> list[Prediction]:
        """One calibrated answer a crop; arguments and errors as for `logits`."""
        female, male = (self.logits(crops).astype(np.float64) / self.card.temperature).T
        # The softmax over two logits, written so that neither exponential overflows.
        p_male = np.exp(male - np.logaddexp(female, male))
        return [Prediction(p, self._label(p)) for p in p_male.clip(0.0, 1.0).tolist()]

    def _label(self, p_male: float) -> Label:
        if max(p_male, 1 - p_male) < self.min_confidence:
            return "uncertain"
        return "male" if p_male >= 0.5 else "female"
