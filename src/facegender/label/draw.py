"""Which faces to label, and in which order: the ones that narrow the interval most come more often, with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegender.errors import InputError
from facegender.survey.labels import strata_of
from facegender.survey.prevalence import FloatArray, IntArray
from facegender.survey.results import Results

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

    Each stratum gets faces in proportion to its size times the standard deviation of gender in it, as far as the
    scores tell (J. Neyman, "On the two different aspects of the representative method", Journal of the Royal
    Statistical Society 97, 1934).

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
    names, sizes = strata_of(collection)
    unique, codes = np.unique(names, return_inverse=True)
    amounts = np.array([sizes[name] for name in unique.tolist()])
    rng = np.random.default_rng([seed, len(faces)])
    return Draw(_order(codes, amounts, faces["p_male"].to_numpy(float), rng), names, sizes)


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
