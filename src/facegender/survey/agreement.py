"""How well two people agree who label the same faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Agreement:
    """Of faces that two people labelled.

    Attributes:
        faces: labelled by both; of more than two people, summed over the pairs.
        share: with the same answer (female, male or unclear), in [0, 1]; with strata, of the faces that they stand for.
        kappa: agreement beyond chance (J. Cohen, "A coefficient of agreement for nominal scales", Educational and
            Psychological Measurement 20, 1960); of more than two people, the mean over the pairs (R. J. Light, 1971).
            None where everyone always gives one and the same answer, so that chance alone explains all.
    """

    faces: int
    share: float
    kappa: float | None


def agreement(
    answers: Sequence[Mapping[Hashable, int | None]], strata: Mapping[Hashable, tuple[str, float]] | None = None
) -> Agreement | None:
    """Of the answers that people give to faces; None where no two people labelled the same face.

    Args:
        strata: of each face the stratum that it was drawn from and its size, or ``""`` and the face's own weight; None:
            all faces count alike.
    """
    faces, same, kappas = 0, 0.0, []
    for one, other in combinations(answers, 2):
        both = [face for face in one if face in other]
        if not both:
            continue
        weights = _weights(both, strata)
        total = sum(weights)
        said = [(one[face], other[face], weight) for face, weight in zip(both, weights, strict=True)]
        equal = sum(weight for a, b, weight in said if a == b) / total
        chance = 0.0
        for answer in (0, 1, None):
            by_one, by_other = (sum(each[2] for each in said if each[who] == answer) for who in (0, 1))
            chance += by_one * by_other / total**2
        faces += len(both)
        same += equal * len(both)
        if chance < 1:
            kappas.append((equal - chance) / (1 - chance))
    if not faces:
        return None
    return Agreement(faces, same / faces, sum(kappas) / len(kappas) if kappas else None)


def _weights(both: Sequence[Hashable], strata: Mapping[Hashable, tuple[str, float]] | None) -> list[float]:
    """How much each face stands for among those that two people looked at."""
    if strata is None:
        return [1.0] * len(both)
    looked = Counter(strata[face][0] for face in both)
    return [size / looked[name] if name else size for name, size in (strata[face] for face in both)]
