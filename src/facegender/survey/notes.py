"""What has to be said beside the numbers of a survey."""

from __future__ import annotations

from collections.abc import Sequence

from facegender.survey.outcome import FEW, FEWEST_VIDEOS, Estimate
from facegender.survey.prevalence import FloatArray
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Collection

#: Error rates of a quality bin from fewer faces of a gender than this are called few, where this share of faces are.
_FEW_RATES, _MUCH = 100, 0.1


def warnings(
    collection: Collection,
    rates: ErrorRates,
    rows: Sequence[Estimate],
    *,
    by_quality: FloatArray,
    resampled: str,
    local: bool,
) -> list[str]:
    """Sentences for people.

    Args:
        collection: what was surveyed.
        rates: the error rates.
        rows: for everyone and each group.
        by_quality: share of what is counted in each quality bin of the rates, Q.
        resampled: what the bootstrap draws, in words.
        local: the rates are from the collection itself.
    """
    said = []
    if bad := [row for row in rows if row.misfit]:
        which = ", ".join(f"{row.group} ({100 * (row.fit_distance or 0):.1f} %)" for row in bad)
        said.append(
            f"The error rates do not explain the scores of {which}: this share of the faces would need another score. "
            "The rates may not hold here, and the intervals do not know of it: label a sample and pass --labelled."
        )
    if not local:
        said.append(
            "The error rates are from other photos than these. If the classifier errs otherwise here, the corrected "
            "shares are off by more than their intervals say; only labels of a random sample of these photos "
            "(--labelled) can tell."
        )
        if collection.kind == "videos":
            said.append("They are of single photos, and a track's score is the mean of several looks.")
        found = collection.detectors
        if rates.detector and found and found != {rates.detector}:
            said.append("The results were made with another face detector than the error rates.")
    for (name, women, _, men, _), part in zip(rates.summary(), by_quality.tolist(), strict=True):
        if part > _MUCH and min(women, men) < _FEW_RATES:
            said.append(
                f"{100 * part:.0f} % of what is counted has a quality of {name}, where the error rates are from "
                f"{women} women's and {men} men's faces only."
            )
    if none := [row.group for row in rows if row.no_interval]:
        said.append(
            f"No interval from fewer than {FEWEST_VIDEOS} videos ({', '.join(none)}): they do not show how much videos "
            "differ. For a statement about these videos alone, and no others, pass --target these."
        )
    if collection.kind == "videos" and resampled == "tracks":
        said.append(
            f"The intervals hold for {rows[0].interval} and say nothing about other videos. A person who appears in "
            "many tracks makes them too narrow."
        )
    if few := [row.group for row in rows if row.few]:
        said.append(f"Fewer than {FEW} {resampled} to resample; the interval may be too narrow: {', '.join(few)}.")
    return said
