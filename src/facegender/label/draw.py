"""Which faces to label, and in which order: the ones that narrow the interval most come more often, with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegender.errors import InputError
from facegender.survey.prevalence import FloatArray, IntArray
from facegender.survey.rates import COARSE_SCORES
from facegender.survey.results import Results

#: Bound between poor and good faces.
_QUALITY = 0.5
#: However sure the network is of the faces of a stratum, at least this share of them may be of the other gender.
_DOUBT = 0.05
#: Length of the blocks of the order that are shuffled, so that the place of a face gives no hint of its answer.
_SHUFFLED = 24


@dataclass(frozen=True)
class Draw:
    """An order of faces, each prefix of which is a stratified random sample.

    Attributes:
        order: int64, N; positions in `Results.faces`.
        strata: for each of all faces of the collection the name of its stratum.
        sizes: faces of each stratum, weighted as their photos are.
    """

    order: IntArray
    strata: Sequence[str]
    sizes: dict[str, float]


def draw(collection: Results, seed: int = 0) -> Draw:
    """Put all faces in the order in which they should be labelled.

    Strata are two classes of quality, the bins of the score, and whether the face got an answer. Each gets faces in
    proportion to its size times the standard deviation of gender in it, as far as the scores tell (J. Neyman, "On the
    two different aspects of the representative method", Journal of the Royal Statistical Society 97, 1934).

    Args:
        seed: of the order; the same for everyone who labels the same draw.

    Raises:
        InputError: the results are of videos or of several models, or say nothing about boxes.
    """
    faces = collection.faces
    if collection.kind == "videos":
        raise InputError("tracks of videos cannot be shown", remedy="label them by hand: docs/archives.md says how")
    _ = collection.model  # no survey takes those of several models, so nobody need label them
    if "x" not in faces or faces[["x", "y", "w", "h"]].isna().any(axis=None):
        raise InputError("the results do not say where the faces are", remedy="give what facegender predict wrote")
    if not len(faces):
        raise InputError("there are no faces in the results")
    good = faces["quality"].to_numpy() >= _QUALITY
    score = np.clip(np.searchsorted(COARSE_SCORES, faces["p_male"], side="right") - 1, 0, len(COARSE_SCORES) - 2)
    uncertain = (faces["label"] == "uncertain").to_numpy()
    names = [
        f"quality {'>=' if g else '<'} {_QUALITY:g}, score {COARSE_SCORES[s]:g} to {COARSE_SCORES[s + 1]:g}"
        + (", uncertain" if u else "")
        for g, s, u in zip(good.tolist(), score.tolist(), uncertain.tolist(), strict=True)
    ]
    weight = collection.photos["weight"].to_numpy(float)[faces["photo"].to_numpy()]
    unique, codes = np.unique(names, return_inverse=True)
    sizes = np.asarray(np.bincount(codes, weight), np.float64)
    rng = np.random.default_rng([seed, len(faces)])
    return Draw(
        _order(codes, sizes, faces["p_male"].to_numpy(float), rng), names, dict(zip(unique, sizes, strict=True))
    )


def _order(codes: IntArray, sizes: FloatArray, p_male: FloatArray, rng: np.random.Generator) -> IntArray:
    """The next face is of the stratum that lags most behind its part, and a random one of it."""
    doubt = np.clip(np.bincount(codes, p_male) / np.bincount(codes), _DOUBT, 1 - _DOUBT)
    part = sizes * np.sqrt(doubt * (1 - doubt))
    part /= part.sum()
    keys, position = np.empty(len(codes)), np.argsort(rng.random(len(codes)))
    for stratum, share in enumerate(part):
        # The k-th face of a stratum is due at (k - 1/2) / share.
        there = position[codes[position] == stratum]
        keys[there] = (np.arange(len(there)) + 0.5) / share
    order = np.argsort(keys, kind="stable")
    for begin in range(0, len(order), _SHUFFLED):
        rng.shuffle(order[begin : begin + _SHUFFLED])
    return order
