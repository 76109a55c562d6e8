"""The confidence below which to say "uncertain"."""

from __future__ import annotations

import numpy as np

from facegender.evaluation.metrics import FloatArray, IntArray


def confidence_for_error(labels: IntArray, p_male: FloatArray, max_error: float) -> float:
    """The least confidence, max(p, 1 - p), at which the faces still answered err at most at the rate `max_error`.

    Returns:
        a value in [0.5, 1]; 1 where even the most confident answers err more often, 0.5 where all may be given.
    """
    confidence = np.maximum(p_male, 1 - p_male)
    wrong = (p_male >= 0.5) != (labels == 1)
    order = np.argsort(-confidence)
    rate = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    ordered = confidence[order]
    # Equal confidences are answered together or not at all.
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True)
    allowed = np.flatnonzero((rate <= max_error) & last_of_equals)
    if not len(allowed):
        return 1.0
    return 0.5 if allowed[-1] == len(ordered) - 1 else float(ordered[allowed[-1]])
