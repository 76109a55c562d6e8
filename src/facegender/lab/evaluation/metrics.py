"""Measures of a binary classifier with ``male`` (1) as the positive class, as in the paper."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, roc_auc_score

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Metrics:
    """All in [0, 1] but `count`.

    Attributes:
        count: faces.
        accuracy: share of right answers.
        tpr: true positive rate; the accuracy on men.
        fpr: false positive rate; the share of women called male.
        precision: share of men among those called male.
        female_accuracy: accuracy on women, 1 - fpr.
        balanced_accuracy: mean of the accuracies on women and on men.
        auc: area under the ROC curve.
    """

    count: int
    accuracy: float
    tpr: float
    fpr: float
    precision: float
    female_accuracy: float
    balanced_accuracy: float
    auc: float

    def to_dict(self) -> dict[str, float]:
        """Field names to values."""
        return asdict(self)


def measure(labels: IntArray, p_male: FloatArray) -> Metrics:
    """Compare probabilities with labels at the threshold 0.5.

    Args:
        labels: N; 0 female, 1 male; both must occur.
        p_male: N probabilities.

    Raises:
        ValueError: a label does not occur: half of the measures would have no meaning.
    """
    if len(set(labels.tolist())) < 2:
        raise ValueError("measures need faces of both labels")
    (tn, fp), (fn, tp) = confusion_matrix(labels, p_male >= 0.5, labels=[0, 1])
    tpr, fpr = tp / (tp + fn), fp / (fp + tn)
    return Metrics(
        count=len(labels),
        accuracy=float((tp + tn) / len(labels)),
        tpr=float(tpr),
        fpr=float(fpr),
        precision=float(tp / (tp + fp)) if tp + fp else 0.0,
        female_accuracy=float(1 - fpr),
        balanced_accuracy=float((tpr + 1 - fpr) / 2),
        auc=float(roc_auc_score(labels, p_male)),
    )


def wilson_interval(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a share (E. B. Wilson, JASA 22, 1927)."""
    interval = binomtest(right, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def p_male_from_logits(logits: FloatArray) -> FloatArray:
    """Softmax of N x 2 logits (female, male); the second column."""
    p_male: FloatArray = np.exp(log_softmax(np.asarray(logits, np.float64), axis=1))[:, 1]
    return p_male


def brier_score(labels: IntArray, p_male: FloatArray) -> float:
    """Mean squared difference of probability and label (G. W. Brier, 1950); in [0, 1], 0 is best."""
    return float(np.square(np.asarray(p_male, np.float64) - labels).mean())


def expected_calibration_error(labels: IntArray, p_male: FloatArray, bins: int = 15) -> float:
    """Expected calibration error of `p_male` over equal-width bins (Naeini et al., AAAI 2015).

    Mean distance between the mean probability and the share of men in a bin, weighted by the faces in it.
    """
    which = np.minimum((p_male * bins).astype(int), bins - 1)
    weight = np.bincount(which, minlength=bins)
    gap = np.bincount(which, weights=p_male - labels, minlength=bins)
    return float(np.abs(gap[weight > 0]).sum() / len(labels))
