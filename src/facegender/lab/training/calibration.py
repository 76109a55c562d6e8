"""Probabilities that fit the face: a temperature that the network's own features give, learnt on held-out crops.

Plain temperature scaling (C. Guo et al., ICML 2017) divides the logits of every face by the same number: one fitted on
good faces is too sure of poor ones. Here the features before the last layer, which tell a blurred or half-covered face
from a clear one, say how far each answer is to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold
from torch import Tensor, nn

#: Numbers of any precision.
Numbers: TypeAlias = npt.NDArray[np.floating] | npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.float64]

#: Bounds of the logarithm of the temperature: no face's logits are divided by less than 0.05 or more than 20.
LOG_TEMPERATURE = 3.0
#: Strengths of the ridge that are tried, strong to weak; infinity is one temperature for all faces.
RIDGES = (np.inf, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001)
_FOLDS = 3
#: Of `out_of_fold`.
CALIBRATION_FOLDS = 5


class Calibration(nn.Module):
    """p_male = sigmoid((male - female) * exp(-(w . features + b)) + c), with the exponent kept in [-3, 3].

    A new one has w = b = c = 0 and gives the softmax of the logits.

    Args:
        features: F, how many values the network's last layer takes.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.log_temperature = nn.Linear(features, 1)
        self.shift = nn.Parameter(torch.zeros(1))
        nn.init.zeros_(self.log_temperature.weight)
        nn.init.zeros_(self.log_temperature.bias)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """float32 N x F features and N x 2 logits (female, male) to N probabilities of male."""
        exponent = self.log_temperature(features).squeeze(1).clamp(-LOG_TEMPERATURE, LOG_TEMPERATURE)
        margin = logits[:, 1] - logits[:, 0]
        return torch.sigmoid(margin * torch.exp(-exponent) + self.shift)

    @torch.inference_mode()
    def p_male(self, features: Numbers, logits: Numbers) -> FloatArray:
        """What `forward` gives, from arrays to an array; float64, N."""
        there = [torch.as_tensor(values, dtype=torch.float32) for values in (features, logits)]
        return self(*there).double().numpy()  # type: ignore[no-any-return]  # modules are not typed by their forward


def fit_calibration(
    features: Numbers,
    logits: Numbers,
    labels: Numbers,
    weights: Numbers | None = None,
    *,
    faces: Numbers | None = None,
) -> Calibration:
    """The calibration of least negative log likelihood, with a ridge on w that three-fold cross-validation chooses.

    Args:
        features: N x F, the input of the network's last layer, for faces that it was not trained on, clear and poor.
        logits: N x 2 (female, male).
        labels: N; 0 female, 1 male.
        weights: N, how much each row counts; None lets all count alike.
        faces: N, equal where rows show one face, whole or degraded: those are kept on one side of the
            cross-validation. None takes every row for another face.

    Raises:
        ValueError: the arrays do not fit each other, hold something that is no finite number, or show fewer than
            three faces.
    """
    rows = _Rows.of(features, logits, labels, weights)
    groups = _groups(faces, len(rows.labels), _FOLDS)
    with _one_thread():
        losses = _held_out_losses(rows, groups)
        *_, solution = _path(rows, RIDGES[: int(losses.argmin()) + 1])
    return rows.module(solution)


def out_of_fold(
    features: Numbers,
    logits: Numbers,
    labels: Numbers,
    weights: Numbers | None = None,
    *,
    faces: Numbers | None = None,
    people: Numbers | None = None,
) -> FloatArray:
    """The probability of each row by a calibration that was fitted without it: what the next faces are given.

    Args:
        features, logits, labels, weights, faces: as for `fit_calibration`.
        people: N, equal where rows show one person: those are in one of the five folds, and answered by a calibration
            that was fitted on the other four. None takes every face for another person.

    Returns:
        float64, N.

    Raises:
        ValueError: as for `fit_calibration`; there must be at least five people.
    """
    columns = features, logits, labels
    weight = np.ones(len(labels)) if weights is None else weights
    each = _groups(faces, len(labels), _FOLDS)
    who = _groups(each if people is None else people, len(each), CALIBRATION_FOLDS)
    p_male = np.zeros(len(who))
    for fitted_on, held_out in GroupKFold(CALIBRATION_FOLDS, shuffle=True, random_state=0).split(who, groups=who):
        x, two, y, w, face = (values[fitted_on] for values in (*columns, weight, each))
        calibration = fit_calibration(x, two, y, w, faces=face)
        p_male[held_out] = calibration.p_male(features[held_out], logits[held_out])
    return p_male


@dataclass(frozen=True)
class _Rows:
    """Standardised features, margins, labels and weights, in double precision; a solution is (w, b, c), F + 2 numbers.

    Attributes:
        mean, deviation: of each feature, F.
        x: N x F.
        margin, labels, weights: N; weights are in units of their mean.
    """

    mean: FloatArray
    deviation: FloatArray
    x: Tensor
    margin: Tensor
    labels: Tensor
    weights: Tensor

    @classmethod
    def of(cls, features: Numbers, logits: Numbers, labels: Numbers, weights: Numbers | None) -> _Rows:
        x, two, y = (np.asarray(values, np.float64) for values in (features, logits, labels))
        w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
        if x.ndim != 2 or two.shape != (len(x), 2) or y.shape != (len(x),) or w.shape != (len(x),):
            shapes = ", ".join(str(values.shape) for values in (x, two, y, w))
            raise ValueError(f"features, logits, labels and weights do not fit each other: {shapes}")
        if not all(np.isfinite(values).all() for values in (x, two, y, w)) or not set(y.tolist()) <= {0.0, 1.0}:
            raise ValueError("calibration needs finite numbers, and labels of 0 and 1")
        if (w < 0).any() or not w.any():
            raise ValueError("weights must not be negative, and not all be zero")
        mean = np.average(x, 0, w)
        deviation = np.sqrt(np.average(np.square(x - mean), 0, w))
        # What hardly ever moves (a dead ReLU) would be blown up by the division, so it is left out.
        deviation[deviation <= 1e-3 * deviation.max(initial=0.0)] = np.inf
        columns = ((x - mean) / deviation, two[:, 1] - two[:, 0], y, w / w.mean())
        return cls(mean, deviation, *map(torch.from_numpy, columns))

    def take(self, rows: npt.NDArray[np.int64]) -> _Rows:
        columns = (values[torch.from_numpy(rows)] for values in (self.x, self.margin, self.labels, self.weights))
        return _Rows(self.mean, self.deviation, *columns)

    def loss(self, solution: Tensor, ridge: float = 0.0) -> Tensor:
        """Weighted mean of the negative log likelihood, in nats, and the ridge's share."""
        w, b, c = solution[:-2], solution[-2], solution[-1]
        exponent = (self.x @ w + b).clamp(-LOG_TEMPERATURE, LOG_TEMPERATURE)
        z = self.margin * torch.exp(-exponent) + c
        losses = F.binary_cross_entropy_with_logits(z, self.labels, reduction="none")
        return losses @ self.weights / self.weights.sum() + ridge / 2 * (w @ w)

    def fit(self, start: Tensor, ridge: float) -> Tensor:
        """The solution of least loss; an infinite ridge keeps w at zero."""
        fixed, ridge = (start[:-2] * 0, 0.0) if np.isinf(ridge) else (start[:0], ridge)

        def value_and_gradient(numbers: FloatArray) -> tuple[float, FloatArray]:
            free = torch.tensor(numbers, requires_grad=True)
            loss = self.loss(torch.cat([fixed, free]), ridge)
            return loss.item(), torch.autograd.grad(loss, free)[0].numpy()

        found = minimize(value_and_gradient, start[len(fixed) :].numpy(), jac=True, method="L-BFGS-B")
        return torch.cat([fixed, torch.from_numpy(found.x)])

    def module(self, solution: Tensor) -> Calibration:
        """The solution for features as the network gives them."""
        w, b, c = solution[:-2] / torch.from_numpy(self.deviation), solution[-2], solution[-1]
        calibration = Calibration(len(w))
        with torch.no_grad():
            calibration.log_temperature.weight.copy_(w[None])
            calibration.log_temperature.bias.copy_(b - w @ torch.from_numpy(self.mean))
            calibration.shift.copy_(c)
        return calibration.eval().requires_grad_(False)


def _held_out_losses(rows: _Rows, who: npt.NDArray[np.int64]) -> FloatArray:
    """For each of `RIDGES` the loss of all rows, each by a solution fitted without its face; weighted once."""
    losses = np.zeros(len(RIDGES))
    for fitted_on, held_out in GroupKFold(_FOLDS, shuffle=True, random_state=0).split(who, groups=who):
        part, rest = rows.take(fitted_on), rows.take(held_out)
        for place, solution in enumerate(_path(part, RIDGES)):
            losses[place] += float(rest.loss(solution) * rest.weights.sum() / rows.weights.sum())
    return losses


@contextmanager
def _one_thread() -> Iterator[None]:
    """Thousands of steps of a few microseconds each: threads would wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _groups(faces: Numbers | None, rows: int, folds: int) -> npt.NDArray[np.int64]:
    """The number of each row's face, from 0; ValueError where there are fewer faces than folds."""
    who = np.arange(rows) if faces is None else np.unique(faces, return_inverse=True)[1]
    if len(who) != rows or len(set(who.tolist())) < folds:
        raise ValueError(f"calibration needs at least {folds} faces, one number a row")
    return who


def _path(rows: _Rows, ridges: Sequence[float]) -> list[Tensor]:
    """One solution a ridge, each begun where the one before it ended."""
    solution = torch.zeros(rows.x.shape[1] + 2, dtype=torch.float64)
    found = []
    for ridge in ridges:
        solution = rows.fit(solution, ridge)
        found.append(solution)
    return found
