"""How narrow the interval of the share of women has become, and whether more labels would help."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facegender.errors import InputError
from facegender.survey.labels import MOST, Labelled
from facegender.survey.measuring import local_rates
from facegender.survey.outcome import Estimate, Target
from facegender.survey.rates import ErrorRates, shipped_rates
from facegender.survey.results import Results
from facegender.survey.rows import Rows

#: Fewer labels give no interval yet.
FEWEST = 20
#: Enough are enough when twice as many would narrow the interval by less than this share of it.
_WORTH = 0.1
_REPLICATES = 200


@dataclass(frozen=True)
class IntervalPrecision:
    """Half the width of the 95 % interval of the share of women, in points of a per cent.

    Attributes:
        before: with the error rates that ship with the network; None where they are not known.
        now: with the labels so far; None while they are fewer than `FEWEST`.
        more: with 100 more labels, roughly.
        enough: twice as many labels would narrow the interval by less than a tenth, or every face is labelled.
    """

    before: float | None
    now: float | None = None
    more: float | None = None
    enough: bool = False


def precision_before(collection: Results) -> float | None:
    """Half the width without labels."""
    try:
        rates = shipped_rates(collection)
    except InputError:
        return None
    return _half(collection, np.full(len(collection.faces), -1), rates, "beyond")


def precision(collection: Results, labelled: Labelled | None, before: float | None) -> IntervalPrecision:
    """How far the labels have come.

    The square of the width is a sum: of what the labels leave open, which falls as their number rises, and of what
    the number of photos leaves open, which stays.
    """
    if labelled is None or len(labelled.rows) < FEWEST:
        return IntervalPrecision(before)
    count, faces = len(labelled.rows), len(collection.faces)
    known = labelled.known(faces)
    complete = bool((collection.photos["weight"] == 1).all())
    target: Target = "these" if complete and count >= MOST * faces else "beyond"
    rates = local_rates(collection, labelled, source="", command="")
    now = _half(collection, known, rates, target)
    stays = 0.0
    if target == "beyond":
        assert rates.totals is not None
        women, men = (1e4 * np.asarray(counts, np.float64) for counts in (rates.female, rates.male))
        sure = replace(rates, female=women, male=men)
        stays = min(now, _half(collection, known, sure, target))
    open_ = now**2 - stays**2

    def with_labels(many: int) -> float:
        left = 1.0 if target == "beyond" else max(0.0, (faces - many) / max(faces - count, 1))
        return float(np.sqrt(stays**2 + open_ * count / many * left))

    return IntervalPrecision(
        before,
        now,
        with_labels(count + 100),
        enough=count + labelled.unclear >= faces or with_labels(2 * count) > (1 - _WORTH) * now,
    )


def _half(collection: Results, known: np.ndarray, rates: ErrorRates, target: Target) -> float:
    rows = Rows(
        collection,
        collection.faces,
        known,
        rates,
        unit="faces",
        method="mixture",
        level=0.95,
        replicates=_REPLICATES,
        seed=0,
        target=target,
    )
    row: Estimate = rows.estimate("", np.ones(len(collection.photos), bool), 0)
    assert row.women_low is not None
    assert row.women_high is not None
    return 50 * (row.women_high - row.women_low)
