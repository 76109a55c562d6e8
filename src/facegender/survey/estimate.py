"""The survey itself: counts, corrected shares and their intervals, for all photos and for each group of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from facegender.errors import InputError
from facegender.progress import Bar
from facegender.survey.effects import are_comparable
from facegender.survey.groups import Clusters, groups_of
from facegender.survey.labels import FEWEST, MOST, OWN, Labelled
from facegender.survey.measuring import local_rates
from facegender.survey.notes import warnings
from facegender.survey.outcome import EVERYONE, TARGETS, UNITS, Survey, Target, Unit
from facegender.survey.prevalence import METHODS, Method
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Results
from facegender.survey.rows import Rows
from facegender.wording import counted


def survey(
    collection: Results,
    rates: ErrorRates,
    *,
    unit: Unit | None = None,
    method: Method = "mixture",
    group_by: Sequence[str] = (),
    min_quality: float = 0.0,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    labelled: Labelled | None = None,
    target: Target | None = None,
    clusters: Clusters | None = None,
) -> Survey:
    """How often women and men appear.

    Args:
        unit: what is counted; None: faces of photos, screen time of videos.
        method: see `facegender.survey.prevalence`; among photos always the likeliest composition of each.
        group_by: columns of `Results.photos`, perhaps with bins: see `facegender.survey.groups.groups_of`.
        min_quality: faces below it are left out.
        labelled: the faces of the collection that `rates` were measured on; None where those are other faces.
        target: what intervals are for. ``beyond``: photos or videos like these, of which these are a sample; whole
            photos or whole videos are resampled. ``these``: these photos or videos alone; labelled faces are known, and
            the gender of the others is imputed. None: ``these`` where at least half of the faces are labelled and there
            are no clusters.
        clusters: what is resampled as a whole in each row. None: each photo or video by itself.

    Raises:
        InputError: rates of another model than that of the results, or of one set alone; nothing to count; a column
            that is not there; a unit that the results do not have; a sample or clusters that are to be surveyed alone;
            or a number out of range.
    """
    made = collection.model
    if rates.sha256 and made and made[1] != rates.sha256:
        raise InputError(
            f"the error rates are of {rates.model} ({rates.sha256[:8]}), the results of {made[0]} ({made[1][:8]})",
            remedy="give rates of that model, or --labelled",
        )
    if rates.sets and not are_comparable(rates.sets):
        raise InputError(
            "the error rates are not of two or more sets, each once in each of the same versions, and do not show how "
            "much sets differ",
            remedy="measure them on more sets, or take other --rates",
        )
    unit = unit or ("screen-time" if collection.kind == "videos" else "faces")
    sample, kind = bool((collection.photos["weight"] != 1).any()), collection.kind
    of_these = f"intervals for these {kind} alone draw no others, so they can have no clusters"
    for refused, why, remedy in (
        (target not in (None, *TARGETS), f"there is no target {target!r}", f"one of {', '.join(TARGETS)}"),
        (target == "these" and sample, "the results are of a sample, which stands for others", "--target beyond"),
        (target == "these" and clusters is not None, of_these, "--target beyond, or leave out --cluster"),
        (unit not in UNITS, f"there is no unit {unit!r}", f"one of {', '.join(UNITS)}"),
        (method not in METHODS, f"there is no method {method!r}", f"one of {', '.join(METHODS)}"),
        (unit == "screen-time" and kind == "photos", "photos have no screen time", "--unit faces or --unit photos"),
        (
            unit == "photos" and kind == "videos",
            "the results are of videos",
            "--unit screen-time, or --unit faces for tracks",
        ),
        (not 0 <= min_quality <= 1, f"the least quality must lie in [0, 1], not {min_quality:g}", None),
        (not 0.5 <= level < 1, f"the level of the intervals must lie in [0.5, 1), not {level:g}", None),
        (replicates < 100, f"{replicates} bootstrap replicates are too few for an interval", "at least 100"),
    ):
        if refused:
            raise InputError(why, remedy=remedy)
    counts = (collection.faces["quality"] >= min_quality).to_numpy()
    faces = collection.faces[counts]
    if not len(faces):
        raise InputError(
            f"there is nothing to count: {counted(len(collection.photos), kind.removesuffix('s'))}, "
            f"{counted(len(collection.faces), 'face')}, none of a quality of {min_quality:g}",
            remedy="lower --min-quality" if len(collection.faces) else "look at the errors in the results",
        )
    known = np.full(len(faces), -1) if labelled is None else labelled.known(len(collection.faces))[counts]
    if target is None:
        most = clusters is None and not sample and (known >= 0).mean() >= MOST
        target = "these" if most else "beyond"

    rows_with = partial(
        Rows,
        collection,
        faces,
        known,
        unit=unit,
        method=method,
        level=level,
        replicates=replicates,
        seed=seed,
        target=target,
        clusters=clusters,
    )
    rows = rows_with(rates)
    grouped = groups_of(collection.photos, group_by)
    about = {"source": rates.source, "command": rates.command}
    own, groups = [], []
    with Bar("resampling", total=1 + len(grouped.names)) as bar:
        everyone = rows.estimate(EVERYONE, np.ones(len(collection.photos), bool), 0)
        for number, name in enumerate(grouped.names):
            bar.step()
            photos = grouped.codes == number
            used = rows
            if labelled is not None:
                here = labelled.among(counts & photos[collection.faces["photo"].to_numpy()])
                if len(here.rows) >= OWN and min(here.women, here.men) >= FEWEST:
                    of_group = local_rates(
                        collection, labelled, **about, photos=photos, clusters=clusters, min_quality=min_quality
                    )
                    used = rows_with(of_group)
                    own.append(name)
            groups.append(used.estimate(name, photos, number + 1))
    samples = [run.get("sample") for run in collection.runs]  # runs of videos draw none
    whole = sum(int(sample["population"]) for sample in samples if sample)
    population = whole if samples and all(samples) else None
    found = Survey(
        kind=kind,
        unit=unit,
        method=method,
        level=level,
        replicates=replicates,
        seed=seed,
        min_quality=min_quality,
        group_by=tuple(group_by),
        values=grouped.values,
        target=target,
        resampled=rows.resampled,
        cluster=None if clusters is None else clusters.column,
        without_cluster=0 if clusters is None else clusters.single,
        ordered=grouped.ordered,
        everyone=everyone,
        groups=groups,
        rates=rates,
        local=labelled is not None,
        made_with=", ".join(sorted({str(run["version"]) for run in collection.runs if "version" in run})),
        copies=collection.copies,
        all_copies=bool(collection.again),
        population=population,
        agreement=None if labelled is None else labelled.agreement,
        own=own,
        warnings=(),
    )
    return replace(found, warnings=warnings(found, collection, labelled, clusters, rows.by_quality()))
