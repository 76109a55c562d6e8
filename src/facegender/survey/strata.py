"""The strata of a collection from which faces are drawn to be labelled."""

from __future__ import annotations

import math

import numpy as np

from facegender.survey.rates import COARSE_SCORES
from facegender.survey.results import Results

#: Bound between poor and good faces.
_QUALITY = 0.5


def strata_of(collection: Results) -> tuple[list[str], dict[str, float]]:
    """Two classes of quality, the bins of the score, and whether the face got an answer.

    Returns:
        for each of all faces of the collection the name of its stratum; and the faces of each stratum, weighted as
        their photos are, without copies.
    """
    faces = collection.faces
    good = faces["quality"].to_numpy() >= _QUALITY
    score = np.clip(np.searchsorted(COARSE_SCORES, faces["p_male"], side="right") - 1, 0, len(COARSE_SCORES) - 2)
    uncertain = (faces["label"] == "uncertain").to_numpy()
    names = [
        f"quality {'>=' if g else '<'} {_QUALITY:g}, score {COARSE_SCORES[s]:g} to {COARSE_SCORES[s + 1]:g}"
        + (", uncertain" if u else "")
        for g, s, u in zip(good.tolist(), score.tolist(), uncertain.tolist(), strict=True)
    ]
    # A copy is no other face to label.
    once = collection.photos["weight"].to_numpy(float) * ~collection.photos["path"].isin(collection.again).to_numpy()
    weight = once[faces["photo"].to_numpy()]
    unique, codes = np.unique(names, return_inverse=True)
    return names, dict(zip(unique.tolist(), np.bincount(codes, weight).tolist(), strict=True))


def same_size(one: float, other: float) -> bool:
    """Two sizes of a stratum are the same, as files write them."""
    return math.isclose(one, other, rel_tol=1e-6)
