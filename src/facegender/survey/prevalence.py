"""The share of women behind a histogram of scores, where the histograms of women and of men are known.

Prior shift: what a classifier says of a woman or of a man is as in the validation; how many there are is not known. A
collection's histogram is then a mixture of the two. Everything is vectorised over leading axes, so that a thousand
bootstrap replicates are one call. Own code, because QuaPy (0.2.3), the library for this, resamples single items: it
knows no weights, no photos with several faces, and no error rates by quality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
Method: TypeAlias = Literal["mixture", "adjusted"]

#: Weight, in faces, of the prior in each quality bin: that its share of women is that of all bins together.
_PRIOR_WEIGHT = 2.0
_HALVINGS = 24
_TINY = 1e-12


def mixture(counts: FloatArray, female: FloatArray, male: FloatArray, scores: FloatArray) -> FloatArray:
    """Maximum likelihood of a mixture of two known histograms (G. Forman, "Quantifying counts and costs via
    classification", DMKD 17, 2008, section 2.4; the EM of M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the
    outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002, on binned scores climbs the
    same hill). The likelihood is concave in the share; its slope is brought to zero by halving.

    Args:
        counts: faces, weighted but in the scale of faces, ... x Q quality bins x K score bins.
        female, male: histograms of women's and of men's faces; each sums to 1 over the last axis and broadcasts with
            `counts`.
        scores: K, not used.

    Returns:
        the share of women in each quality bin, ... x Q, in [0, 1].
    """
    everywhere = _mixture(counts, female, male, np.zeros(counts.shape[:-2]), np.zeros(counts.shape[:-2]), (-2, -1))
    mean = np.broadcast_to(everywhere[..., None], counts.shape[:-1])
    return _mixture(counts, female, male, _PRIOR_WEIGHT * mean, _PRIOR_WEIGHT * (1 - mean), (-1,))


def _mixture(
    counts: FloatArray, female: FloatArray, male: FloatArray, women: FloatArray, men: FloatArray, axes: tuple[int, ...]
) -> FloatArray:
    """The likeliest share, one for all that the axes span; `women` and `men` are pseudo-faces of known gender."""
    more = female - male
    low, high = np.zeros_like(women), np.ones_like(women)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        wide = share[(...,) + (None,) * len(axes)]
        slope = (counts * more / np.maximum(male + wide * more, _TINY)).sum(axis=axes)
        slope = slope + women / share - men / (1 - share)
        low, high = np.where(slope > 0, share, low), np.where(slope > 0, high, share)
    return (low + high) / 2


def adjusted(counts: FloatArray, female: FloatArray, male: FloatArray, scores: FloatArray) -> FloatArray:
    """The probabilistic adjusted count (A. Bella et al., "Quantification via probability estimators", ICDM 2010): where
    the mean score lies between those of men and of women. Arguments and result as for `mixture`; `scores` is the
    middle of each score bin. A share may leave [0, 1]: only the mean over the bins is brought back.
    """
    total = counts.sum(axis=-1)
    observed = (counts * scores).sum(axis=-1) / np.maximum(total, _TINY)
    women, men = (female * scores).sum(axis=-1), (male * scores).sum(axis=-1)
    difference = np.maximum(men - women, 0.05)  # where women and men look alike no count can tell them apart
    return np.asarray(np.where(total > 0, (men - observed) / difference, 0.5))


METHODS: Mapping[Method, Callable[[FloatArray, FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "mixture": mixture,
    "adjusted": adjusted,
}


def overall(counts: FloatArray, shares: FloatArray) -> FloatArray:
    """The share of women over all quality bins, in [0, 1]: `counts` ... x Q x K, `shares` ... x Q."""
    total = counts.sum(axis=-1)
    share = (total * shares).sum(axis=-1) / np.maximum(total.sum(axis=-1), _TINY)
    return np.asarray(np.clip(share, 0, 1))


def imputed(mass: FloatArray, square: FloatArray, chance: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How much of some masses is women's, where each item is a woman's with a chance of its own kind.

    A mass is drawn as if its items were of equal weight, as many as say as much (L. Kish, "Survey sampling", 1965).

    Args:
        mass, square: sums over the items of each kind of their weights and of the squares of these.
        chance: in [0, 1]; broadcasts with `mass`, and the result has its shape.
    """
    items = np.rint(mass**2 / np.maximum(square, 1e-300)).astype(np.int64)
    return np.asarray(mass * rng.binomial(items, chance) / np.maximum(items, 1), np.float64)
