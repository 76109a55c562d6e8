"""How differently a classifier errs on different collections: random effects between labelled sets.

A collection without labels is one more draw from the population of collections that the labelled sets come from. On a
set, and on its photos in gray, with grain, printed or small, the scores of women and of men lie higher or lower than on
all sets together. Each difference is one number a gender, the tilt: the histogram of a set is that of all sets times
exp(tilt x logit of the score), normalized. The two tilts vary between sets, and within a set between its versions. Both
variances are estimated by the method of moments (R. DerSimonian, N. Laird, "Meta-analysis in clinical trials",
Controlled Clinical Trials 7, 1986). The tilts of a new collection are drawn from t distributions, since there are few
sets (J. P. T. Higgins, S. G. Thompson, D. J. Spiegelhalter, "A re-evaluation of random-effects meta-analysis", Journal
of the Royal Statistical Society A 172, 2009).

Each draw is weighted by its fit to the scores of the collection. The scores count as those of few faces,
because real histograms differ in more than a tilt (power likelihood: P. G. Bissiri, C. C. Holmes, S. G. Walker, "A
general framework for updating belief distributions", Journal of the Royal Statistical Society B 78, 2016).
studies/survey/sets.py measures the coverage that results, leaving one set out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegender.survey.prevalence import FloatArray, IntArray

#: The scores of a collection count as this share of its faces, and as no more than this number of faces.
_POWER, _MOST_FACES = 0.1, 30.0
_STEPS, _RIDGE = 50, 1.0


@dataclass(frozen=True)
class SetCounts:
    """Faces of known gender of one set, in one version.

    Attributes:
        name: of the set.
        version: ``colour``, ``gray``, ...
        female, male: int64, Q x K: women's and men's faces that were found.
        not_found: women's and men's photos in which none was; None where they were not counted.
    """

    name: str
    version: str
    female: IntArray
    male: IntArray
    not_found: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        counts = {"female": self.female.tolist(), "male": self.male.tolist()}
        missed = {} if self.not_found is None else {"not_found": list(self.not_found)}
        return {"name": self.name, "version": self.version, **counts, **missed}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SetCounts:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is something else."""
        counts = {word: np.array(record[word], np.int64) for word in ("female", "male")}
        missed = None
        if (recorded := record.get("not_found")) is not None:
            women, men = recorded
            missed = int(women), int(men)
        return cls(str(record["name"]), str(record["version"]), **counts, not_found=missed)


@dataclass(frozen=True)
class Effects:
    """The distribution of the two tilts of a new collection.

    Attributes:
        mean: float64, 2; women's and men's.
        between: float64, 2 x 2; covariance between sets, of the mean of one more.
        within: float64, 2 x 2; covariance between the versions of a set.
        sets, versions: how many there are of either.
    """

    mean: FloatArray
    between: FloatArray
    within: FloatArray
    sets: int
    versions: int

    def drawn(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Tilts of `count` collections, count x 2."""
        tilts = np.tile(self.mean, (count, 1))
        for covariance, freedom in (
            (self.between, self.sets - 1),
            (self.within, self.sets * (self.versions - 1)),
        ):
            if freedom > 0:
                normal = rng.standard_normal((count, 2)) @ _root(covariance).T
                tilts += normal / np.sqrt(rng.chisquare(freedom, count) / freedom)[:, None]
        return tilts


def are_comparable(sets: Sequence[SetCounts]) -> bool:
    """Whether random effects can be estimated: two or more sets, each once in each of the same versions."""
    names, versions = {some.name for some in sets}, {some.version for some in sets}
    pairs = {(some.name, some.version) for some in sets}
    return len(names) >= 2 and len(pairs) == len(sets) == len(names) * len(versions)


def effects(sets: Sequence[SetCounts], female: FloatArray, male: FloatArray, scores: FloatArray) -> Effects:
    """Estimate the random effects.

    Args:
        sets: each set in the same versions; two sets at least.
        female, male: histograms of women's and of men's faces of all sets, Q x K, rows sum to 1.
        scores: middles of the K bins.

    Raises:
        ValueError: fewer than two sets, or a set without one of the versions.
    """
    if not are_comparable(sets):
        raise ValueError("two or more sets are needed, each once in each of the same versions")
    names = list(dict.fromkeys(some.name for some in sets))
    versions = list(dict.fromkeys(some.version for some in sets))
    table = {(some.name, some.version): some for some in sets}
    ordered = [[table[name, version] for version in versions] for name in names]
    tilts = [[(tilt(some.female, female, scores), tilt(some.male, male, scores)) for some in row] for row in ordered]
    found, errors = np.moveaxis(np.array(tilts), -1, 0).copy()  # sets x versions x 2 each
    means = found.mean(axis=1)
    mean = means.mean(axis=0)
    deviations = found - means[:, None]
    freedom = max(len(names) * (len(versions) - 1), 1)
    within = np.einsum("svi,svj->ij", deviations, deviations) / freedom
    between = (means - mean).T @ (means - mean) / (len(names) - 1)
    error = np.diag(errors.mean(axis=(0, 1)))
    left = within if len(versions) > 1 else error
    return Effects(
        mean,
        _positive(between - left / len(versions)) * (1 + 1 / len(names)),
        _positive(within - error) * (1 + 1 / len(sets)),
        len(names),
        len(versions),
    )


def tilt(counts: IntArray, histogram: FloatArray, scores: FloatArray) -> tuple[float, float]:
    """The likeliest tilt of a histogram towards the counts, and its variance."""
    logit = logits(scores)
    total, faces = float((counts * logit).sum()), counts.sum(axis=1)
    value, information = 0.0, _RIDGE
    for _ in range(_STEPS):
        tilted = histogram * np.exp(value * logit)
        tilted /= tilted.sum(axis=1, keepdims=True)
        mean = tilted @ logit
        information = float(faces @ (tilted @ logit**2 - mean**2)) + _RIDGE
        value += float(np.clip((total - faces @ mean - _RIDGE * value) / information, -1, 1))
    return value, 1 / information


def logits(scores: FloatArray) -> FloatArray:
    """Of the middles of the score bins, in units of their standard deviation."""
    values = np.log(scores / (1 - scores))
    return np.asarray(values / values.std(), np.float64)


def plausibility(
    counts: FloatArray, faces: float, shares: FloatArray, female: FloatArray, male: FloatArray
) -> FloatArray:
    """How well drawn error rates explain the scores of a collection: weights of the draws, B, which sum to 1.

    Args:
        counts: of the collection, Q x K, in any scale.
        faces: how many faces that is.
        shares: of women in each quality bin as the draws have it, B x Q.
        female, male: the drawn histograms, B x Q x K.
    """
    share = np.clip(shares, 0, 1)[..., None]
    fitted = share * female + (1 - share) * male
    weight = min(_POWER * faces, _MOST_FACES) / max(counts.sum(), 1e-12)
    likelihood = weight * (counts * np.log(np.maximum(fitted, 1e-12))).sum(axis=(-2, -1))
    weights = np.exp(likelihood - likelihood.max())
    return np.asarray(weights / weights.sum(), np.float64)


def _positive(matrix: FloatArray) -> FloatArray:
    """The nearest covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors @ np.diag(np.clip(values, 0, None)) @ vectors.T, np.float64)


def _root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)), np.float64)
