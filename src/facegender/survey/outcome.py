"""What a survey finds: a row for all photos, one for each group, and what has to be said beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from facegender.survey.labels import Agreement
from facegender.survey.prevalence import Method
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Kind

Unit: TypeAlias = Literal["faces", "photos", "screen-time"]
UNITS: tuple[Unit, ...] = get_args(Unit)

#: What intervals are for: photos or videos like these, or these alone.
Target: TypeAlias = Literal["beyond", "these"]
TARGETS: tuple[Target, ...] = get_args(Target)

EVERYONE = "all"

#: With fewer photos (or videos, or clusters) an interval from resampling may be too narrow.
FEW = 30
#: With a larger share in one cluster, too.
MUCH = 0.25
#: With fewer videos or clusters no interval is given (studies/survey/videos.py); with fewer faces, tracks or photos to
#: count no share either.
FEWEST = 10
NO_INTERVAL = "none"
#: A misfit that chance explains less often than this, and that is larger than that, is worth a warning.
_CHANCE, _MISFIT = 0.05, 0.02


@dataclass(frozen=True)
class Estimate:
    """One row of a survey. Shares are in [0, 1]; None where there is nothing that they could be of.

    Attributes:
        group: value of the grouping column, or `EVERYONE`.
        photos: photos (or videos) that were read.
        not_read: those that were not.
        faceless: of those read, without a face that counts.
        faces: faces (or tracks) that count.
        left_out: faces below the least quality.
        labelled: of the faces that count, those with a label.
        clusters: number of what is resampled: photos with faces, or all that were read, or
            videos, or clusters of these; for these alone, faces or tracks.
        represented: faces, photos or seconds that the shares are of; sampled photos stand for others.
        interval: what the intervals are for, in words, such as ``videos like these`` or ``this film alone``; begins
            with `NO_INTERVAL` where there are none, and says why.
        uncertain: share of faces that the classifier did not answer.
        plain_women, plain_men: from the answers as they are, `uncertain` passed over.
        women, women_low, women_high: corrected, with its interval.
        men, men_low, men_high: the same; faces and screen time are shared between women and men, photos are not.
        fit_distance: how far the faces' scores are from what the error rates can explain: the share of faces that
            would need another score.
        fit_p: how often chance does as much.
        largest_cluster: the share of the largest cluster in what is counted; None without clusters.
        design_effect: how many times as large the sampling variance of the share of women is as that of single photos;
            None without clusters, or where there are fewer than two.
    """

    group: str
    photos: int
    not_read: int
    faceless: int
    faces: int
    left_out: int
    labelled: int
    clusters: int
    represented: float
    interval: str
    uncertain: float | None = None
    plain_women: float | None = None
    plain_men: float | None = None
    women: float | None = None
    women_low: float | None = None
    women_high: float | None = None
    men: float | None = None
    men_low: float | None = None
    men_high: float | None = None
    fit_distance: float | None = None
    fit_p: float | None = None
    largest_cluster: float | None = None
    design_effect: float | None = None

    @property
    def no_interval(self) -> bool:
        """There are too few faces, videos or clusters for an interval."""
        return self.interval.startswith(NO_INTERVAL)

    @property
    def no_share(self) -> bool:
        """There is too little to count for a share."""
        return self.no_interval and self.women is None

    @property
    def few(self) -> bool:
        """It has an interval that may be too narrow."""
        return self.clusters < FEW and self.interval.endswith("like these")

    @property
    def misfit(self) -> bool:
        """The error rates do not explain the scores."""
        enough = self.faces >= FEW and self.clusters >= FEWEST
        return enough and self.fit_p is not None and self.fit_p < _CHANCE and (self.fit_distance or 0) > _MISFIT


@dataclass(frozen=True)
class Survey:
    """What a survey found.

    Attributes:
        kind: what was analysed.
        unit, method, level, replicates, seed, min_quality, group_by: as asked for.
        values: for each group its value in each column of `group_by`.
        target: what the intervals are for.
        resampled: what the bootstrap draws, in words.
        cluster: the column whose values make the clusters that are drawn; None without clusters.
        without_cluster: photos or videos without a value there; each is a cluster of its own.
        ordered: the groups have an order, such as years.
        everyone: all photos.
        groups: one each, in order; empty without a grouping.
        rates: the classifier's.
        local: the rates are from labelled faces of the collection itself.
        made_with: versions of facegender that made the results; empty where they do not say.
        copies: photos whose content is that of another one under another name.
        all_copies: they count too.
        population: photos that the results were sampled from; None where they were not.
        agreement: of the people who labelled the same faces, where there were several.
        own: names of the groups that have error rates of their own, from their labels.
        warnings: sentences for people.
    """

    kind: Kind
    unit: Unit
    method: Method
    level: float
    replicates: int
    seed: int
    min_quality: float
    group_by: Sequence[str]
    values: Sequence[tuple[str, ...]]
    target: Target
    resampled: str
    cluster: str | None
    without_cluster: int
    ordered: bool
    everyone: Estimate
    groups: Sequence[Estimate]
    rates: ErrorRates
    local: bool
    made_with: str
    copies: int
    all_copies: bool
    population: int | None
    agreement: Agreement | None
    own: Sequence[str]
    warnings: Sequence[str]

    @property
    def grouping(self) -> str:
        """The columns that the groups are of."""
        return ", ".join(self.group_by)
