"""What has to be said beside the numbers of a survey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from facegender.survey.groups import Clusters
from facegender.survey.labels import FEWEST, OWN, Labelled
from facegender.survey.outcome import FEW, MUCH, Estimate, Survey
from facegender.survey.outcome import FEWEST as FEWEST_DRAWN
from facegender.survey.prevalence import FloatArray
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Kind, Results
from facegender.wording import counted

#: Error rates of a quality bin from fewer faces of a gender than this are called few, where this share of faces are.
_FEW_RATES, _MUCH = 100, 0.1
#: Labels of the largest faces alone are worth a word where more than this share of the faces are others.
_OTHERS = 0.1
#: Less agreement than this, or kappa, is worth a word (J. R. Landis, G. G. Koch, Biometrics 33, 1977: "substantial").
_AGREED = 0.6


def warnings(
    found: Survey, collection: Results, labelled: Labelled | None, clusters: Clusters | None, by_quality: FloatArray
) -> list[str]:
    """Sentences for people, the gravest first.

    Args:
        found: all but the warnings.
        labelled, clusters: what `found` knows of the labels of the collection, and of what is drawn as a whole.
        by_quality: share of what is counted in each quality bin of the rates, Q.
    """
    rows = found.everyone, *found.groups
    return [
        *_about_results(collection, labelled),
        *_about_fit(rows),
        *_about_intervals(found, rows, (collection.photos["weight"] == 1).all()),
        *_about_clusters(found.kind, clusters),
        *(() if labelled is None else _about_groups(found)),
        *(() if labelled is None else _about_labels(collection, labelled)),
        *_about_metadata(collection),
        *(() if labelled is not None else _about_rates(collection, found.rates, by_quality)),
    ]


def _about_results(collection: Results, labelled: Labelled | None) -> Iterator[str]:
    if collection.limited:
        sample = ", or with --sample" if collection.kind == "photos" else ""
        yield (
            f"The results are of the first {collection.kind} alone (--limit), which are no sample: their share says "
            f"nothing of the others. Run facegender predict without it{sample}."
        )
    if labelled is not None and labelled.moved:
        yield (
            f"{labelled.moved:,} of the labels were drawn from other results than these: photos or answers have "
            "changed since. Photos that came later had no chance to be labelled; label these results anew."
        )
    if collection.copies:
        have = "has" if collection.copies == 1 else "have"
        counts = "each content counts once, in the group of its first name"
        if collection.again:
            counts = "each of them counts, and the interval takes them for photos of their own"
        copies = counted(collection.copies, "photo")
        yield f"{copies} {have} the content of another under another name; {counts}."


def _about_fit(rows: Sequence[Estimate]) -> Iterator[str]:
    if bad := [row for row in rows if row.misfit]:
        which = ", ".join(f"{row.group} ({100 * (row.fit_distance or 0):.1f} %, p {row.fit_p:.3f})" for row in bad)
        yield (
            "The classifier behaves differently on these photos than on those that its error rates were measured on. "
            f"The share of faces whose scores the error rates do not explain: {which}. Do not publish these shares as "
            "they are: label 200 faces with facegender label and pass --labelled."
        )


def _about_intervals(found: Survey, rows: Sequence[Estimate], complete: bool) -> Iterator[str]:
    clustered, resampled = found.cluster is not None, found.resampled
    if shareless := [row.group for row in rows if row.no_share]:
        what = "photos" if found.unit == "photos" else "faces" if found.kind == "photos" else "tracks"
        yield (
            f"Fewer than {FEWEST_DRAWN} {what} are too few for a share; report the count instead: "
            f"{', '.join(shareless)}."
        )
    if none := [row.group for row in rows if row.no_interval and not row.no_share]:
        alone = ""
        if complete:  # a sample is no statement about itself
            alone = (
                f" For a statement about these {found.kind} alone, and no others, pass --target these"
                f"{' without --cluster' if clustered else ''}."
            )
        yield (
            f"No interval from fewer than {FEWEST_DRAWN} {resampled} ({', '.join(none)}): they do not show how much "
            f"{resampled} differ.{alone}"
        )
    if found.target == "these":
        yield f"The intervals hold for {rows[0].interval} and say nothing about other {found.kind}."
    elif few := [row.group for row in rows if row.few]:
        narrow = "is only rough, and may be too narrow" if clustered else "may be too narrow"
        yield f"Fewer than {FEW} {resampled} to resample; the interval {narrow}: {', '.join(few)}."
    if large := [row for row in rows if row.clusters >= FEW and (row.largest_cluster or 0) > MUCH]:
        shares = ", ".join(f"{row.group} ({100 * (row.largest_cluster or 0):.0f} %)" for row in large)
        yield f"A large part of what is counted is in one cluster; the interval is only rough: {shares}."


def _about_clusters(kind: Kind, clusters: Clusters | None) -> Iterator[str]:
    if clusters is not None and clusters.single:
        have = "has" if clusters.single == 1 else "have"
        yield (
            f"{counted(clusters.single, kind.removesuffix('s'))} {have} no {clusters.column}, and each "
            "counts as a cluster of its own. Where some of them belong together, the interval is too narrow."
        )
    if clusters is not None and len(np.unique(clusters.codes)) == len(clusters.codes):
        yield f"No two {kind} have the same {clusters.column}, so --cluster does not change the intervals."


def _about_groups(found: Survey) -> Iterator[str]:
    shared = [
        row.group
        for row in found.groups
        # Of a group that is labelled throughout the share is known, for these photos.
        if row.faces and row.group not in found.own and not (found.target == "these" and row.labelled == row.faces)
    ]
    if shared:
        yield (
            f"These groups have fewer than {OWN} labels, or than {FEWEST} of a gender, and the error rates of the "
            f"whole collection; do not compare them: {', '.join(shared)}."
        )


def _about_labels(collection: Results, labelled: Labelled) -> Iterator[str]:
    others = len(collection.faces) - collection.faces["photo"].nunique()
    if labelled.largest and others > _OTHERS * len(collection.faces):
        largest, other, draw = "largest face of each photo", "other face", " facegender label draws among all faces."
        if collection.kind == "videos":
            largest, other, draw = "first track of each video", "other track", ""
        yield (
            f"The labels are of the {largest}; {counted(others, other)} {'is' if others == 1 else 'are'} counted with "
            f"the same errors, which nobody has checked.{draw}"
        )
    if labelled.unclear:
        yield (
            f"{labelled.unclear:,} of {labelled.unclear + len(labelled.rows):,} faces that were looked at have no "
            "clear label. They remain in the count, as if they were like the others of their score."
        )
    if (agreed := labelled.agreement) is not None:
        kappa = "" if agreed.kappa is None else f", Cohen's kappa {agreed.kappa:.2f}"
        little = " That is little: report it." if agreed.kappa is not None and agreed.kappa < _AGREED else ""
        yield (
            f"The labellers agree on {100 * agreed.share:.1f} % of the {agreed.faces:,} faces that two of them looked "
            f"at{kappa}.{little}"
        )
    else:
        alone = "One person labelled" if labelled.people == 1 else "No face was labelled by two people"
        yield (
            f"{alone}, and the interval takes every label as right; a second person (--labeller) shows how far that "
            "holds."
        )


def _about_metadata(collection: Results) -> Iterator[str]:
    if across := collection.across_folders:
        took = counted(across, collection.kind.removesuffix("s"))
        yield f"{took} took the metadata of the row with the same file name, whose folders are other ones or not given."


def _about_rates(collection: Results, rates: ErrorRates, by_quality: FloatArray) -> Iterator[str]:
    if rates.totals is not None:
        yield (
            f"The error rates are from labels of other photos ({rates.source}). They hold only if these photos are of "
            "the same kind; label some of these too."
        )
    elif rates.sets:
        count = len({some.name for some in rates.sets})
        yield (
            f"The error rates are from {count} sets of other photos, and the intervals allow for as much difference "
            "from them as the sets show among each other. Labels of these photos (facegender label, then --labelled) "
            "make the interval narrower, and safe where these photos are unlike all of the sets."
        )
    else:
        yield (
            "The error rates are from other photos than these. If the classifier errs otherwise here, the corrected "
            "shares are off by more than their intervals say; only labels of these photos (facegender label, then "
            "--labelled) can tell."
        )
    if collection.kind == "videos" and rates.totals is None:
        yield "They are of single photos, and a track's score is the mean of several looks."
    found = collection.detectors
    if rates.detector and found and found != set(rates.detector.split(",")):
        yield "The results were made with another face detector than the error rates."
    for (name, women, _, men, _), part in zip(rates.summary(), by_quality.tolist(), strict=True):
        if rates.totals is None and part > _MUCH and min(women, men) < _FEW_RATES:
            yield (
                f"{100 * part:.0f} % of what is counted has a quality of {name}, where the error rates are from "
                f"{women} women's and {men} men's faces only."
            )
