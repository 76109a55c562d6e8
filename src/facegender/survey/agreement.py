"""How well two people agree who label the same faces."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Agreement:
    """Of faces that two people labelled.

    Attributes:
        faces: labelled by both; of more than two people, summed over the pairs.
        share: with the same answer (female, male or unclear), in [0, 1].
        kappa: agreement beyond chance (J. Cohen, "A coefficient of agreement for nominal scales", Educational and
            Psychological Measurement 20, 1960); of more than two people, the mean over the pairs (R. J. Light, 1971).
            None where everyone always gives one and the same answer, so that chance alone explains all.
    """

    faces: int
    share: float
    kappa: float | None


def agreement(answers: Sequence[Mapping[Hashable, int | None]]) -> Agreement | None:
    """Of the answers that people give to faces; None where no two people labelled the same face."""
    faces, same, kappas = 0, 0.0, []
    for one, other in combinations(answers, 2):
        both = [(one[face], other[face]) for face in one.keys() & other.keys()]
        if not both:
            continue
        equal = sum(a == b for a, b in both) / len(both)
        chance = 0.0
        for answer in (0, 1, None):
            chance += sum(a == answer for a, _ in both) * sum(b == answer for _, b in both) / len(both) ** 2
        faces += len(both)
        same += equal * len(both)
        if chance < 1:
            kappas.append((equal - chance) / (1 - chance))
    if not faces:
        return None
    return Agreement(faces, same / faces, sum(kappas) / len(kappas) if kappas else None)
