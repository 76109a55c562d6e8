"""The confidence below which to say "uncertain"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from facegender.inference.classifier import prediction_for
from facegender.lab.evaluation.metrics import FloatArray, IntArray

#: That faces of another sample, if answered, err at most at the accepted rate.
_CERTAINTY = 0.95


def is_answered(p_male: FloatArray, confidence: float) -> npt.NDArray[np.bool_]:
    """N; whether each face is answered at a least confidence, by the rule of `facegender predict`.

    Args:
        p_male: float, N.
        confidence: in [0.5, 1].
    """
    return np.array([prediction_for(p, confidence).label != "uncertain" for p in p_male.tolist()], bool)


def answered(labels: IntArray, p_male: FloatArray, confidence: float) -> tuple[float, float]:
    """Share of the faces that is answered at a least confidence, and share of wrong answers among those.

    Args:
        labels: int64, N, at least one; 0 female, 1 male.
        p_male: float, N.
        confidence: in [0.5, 1].
    """
    given = is_answered(p_male, confidence)
    wrong = ((p_male >= 0.5) != (labels == 1))[given]
    return float(given.mean()), float(wrong.mean()) if given.any() else 0.0


def confidence_for_error(
    labels: IntArray, p_male: FloatArray, max_error: float, weights: FloatArray | None = None
) -> float:
    """The least confidence, max(p, 1 - p), at which faces like these, if answered, err at most at the rate `max_error`.

    What counts is not the rate of these faces but the upper end of its one-sided 95 % Clopper-Pearson interval
    (Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017): a threshold that
    just fits one sample lets more errors through on the next. With weights, the interval is that of as many faces as
    the weights leave, (sum w)^2 / sum w^2 (E. Korn and B. Graubard, "Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data", Survey Methodology 1998).

    Args:
        weights: float, N, above 0; how much each face counts. None lets all count alike.

    Returns:
        a value in [0.5, 1]; 1 where the faces are too few or even the most confident answers err too often, 0.5 where
        all answers may be given.
    """
    confidence = np.round(np.maximum(p_male, 1 - p_male), 12)  # 0.9 and 1 - 0.1 are equal
    wrong = (p_male >= 0.5) != (labels == 1)
    order = np.argsort(-confidence)
    weight = np.ones(len(order)) if weights is None else weights[order]
    share = np.cumsum(weight * wrong[order]) / np.cumsum(weight)
    answered = np.cumsum(weight) ** 2 / np.cumsum(weight**2)
    # Where all answers are wrong the interval ends at 1, and SciPy's quantile at no number.
    rate = np.nan_to_num(beta.ppf(_CERTAINTY, answered * share + 1, answered * (1 - share)), nan=1.0)
    ordered = confidence[order]
    # Equal confidences are answered together or not at all.
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True)
    allowed = np.flatnonzero((rate <= max_error) & last_of_equals)
    if not len(allowed):
        return 1.0
    return 0.5 if allowed[-1] == len(ordered) - 1 else float(ordered[allowed[-1]])
