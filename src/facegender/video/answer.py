"""One answer from many looks at one face.

The frames of a track show one person in one light: they err together, and a hundred frames are not a hundred
witnesses. Let each frame's log-odds l_i be right on average for the true answer, with the same spread in every frame
and correlation rho between any two frames' errors. For such equicorrelated Gaussian log-odds, whose covariance is
sigma^2 ((1 - rho) I + rho 1 1'), the evidence of n frames together is::

    L = (l_1 + ... + l_n) / (1 + (n - 1) rho) = mean(l) n_eff,     n_eff = n / (1 + (n - 1) rho)

It is a frame's own answer for n = 1, the sum (naive Bayes) for rho = 0, and the plain mean for rho = 1; no number of
frames counts for more than 1 / rho of them. Where frames differ in quality w_i, the mean is weighted and n becomes
(sum w)^2 / sum w^2, after L. Kish, "Survey Sampling", 1965, which is 1 for one frame and n for equal ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Of the errors of two frames of one track; results/accuracy/track_correlation.csv says how it was found.
CORRELATION = 0.9

#: Answers nearer to 0 or 1 are taken as this near: the network's calibration was never measured beyond.
_SUREST = 0.001
#: A face of no quality at all still counts a little, where there is no better one.
_LEAST_WEIGHT = 0.05
#: Of independent frames the logit grows with their number; what lies below is 0 in double precision.
_LEAST_MARGIN = -700.0


def combined(
    p_male: Sequence[float] | npt.NDArray[np.floating],
    quality: Sequence[float] | npt.NDArray[np.floating],
    correlation: float = CORRELATION,
) -> float:
    """The calibrated probability that the face of a track is perceived as male.

    Args:
        p_male: calibrated answers to its frames one by one, in [0, 1]; at least one.
        quality: of each frame's face, in [0, 1].
        correlation: of the errors of two frames, in [0, 1].
    """
    p = np.clip(np.asarray(p_male, np.float64), _SUREST, 1 - _SUREST)
    weights = np.clip(np.asarray(quality, np.float64), _LEAST_WEIGHT, 1.0)
    mean = float((weights * np.log(p / (1 - p))).sum() / weights.sum())
    frames = float(weights.sum() ** 2 / (weights**2).sum())
    margin = mean * frames / (1 + (frames - 1) * correlation)
    return 1 / (1 + math.exp(-max(margin, _LEAST_MARGIN)))
