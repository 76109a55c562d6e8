"""The survey itself: counts, corrected shares and their intervals, for all photos and for each group of them."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix, hstack

from facegender.errors import InputError
from facegender.progress import Bar
from facegender.survey.compositions import find_patterns, photos_with
from facegender.survey.groups import groups_of, order
from facegender.survey.notes import warnings
from facegender.survey.outcome import (
    EVERYONE,
    FEWEST_VIDEOS,
    NO_INTERVAL,
    TARGETS,
    UNITS,
    Estimate,
    Survey,
    Target,
    Unit,
)
from facegender.survey.prevalence import METHODS, FloatArray, IntArray, Method, overall
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Collection


def survey(
    collection: Collection,
    rates: ErrorRates,
    *,
    unit: Unit | None = None,
    method: Method = "mixture",
    group_by: str | None = None,
    min_quality: float = 0.0,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    local: bool = False,
    target: Target = "beyond",
) -> Survey:
    """How often women and men appear.

    Args:
        collection: the results.
        rates: how the classifier errs.
        unit: what is counted; None: faces of photos, screen time of videos.
        method: see `facegender.survey.prevalence`; among photos always the likeliest composition of each.
        group_by: a column of `Collection.photos`.
        min_quality: faces below it are left out.
        level: of the intervals.
        replicates: of the bootstrap.
        seed: of the bootstrap.
        local: whether the rates were measured on this collection.
        target: ``beyond``: intervals hold for photos or videos like these, of which these are a sample: whole photos or
            whole videos are resampled. ``these``: for these videos alone; their tracks are resampled.

    Raises:
        InputError: nothing to count, a column that is not there, a unit that the results do not have, or a number out
            of range.
    """
    unit = unit or ("screen-time" if collection.kind == "videos" else "faces")
    _check(collection, unit, method, group_by, min_quality, level, replicates, target)
    faces = collection.faces[collection.faces["quality"] >= min_quality]
    if not len(faces):
        raise InputError(
            f"there is nothing to count: {len(collection.photos)} {collection.kind}, {len(collection.faces)} faces, "
            f"none of a quality of {min_quality:g}",
            remedy="lower --min-quality" if len(collection.faces) else "look at the errors in the results",
        )
    job = _Job(collection, faces, rates, unit, method, level, replicates, seed, target)
    names, ordered = groups_of(collection.photos, group_by)
    values = list(dict.fromkeys(names)) if group_by else []
    with Bar("resampling", total=1 + len(values)) as bar:
        everyone = job.estimate(EVERYONE, np.ones(len(collection.photos), bool), 0)
        groups = []
        for number, value in enumerate(sorted(values, key=order(ordered)), 1):
            bar.step()
            groups.append(job.estimate(value, np.asarray(names) == value, number))
    samples = [run["sample"] for run in collection.runs]
    whole = sum(int(sample["population"]) for sample in samples if sample)
    population = whole if samples and all(samples) else None
    return Survey(
        unit=unit,
        method=method,
        level=level,
        replicates=replicates,
        seed=seed,
        min_quality=min_quality,
        group_by=group_by,
        target=target,
        resampled=job.resampled,
        ordered=ordered,
        everyone=everyone,
        groups=groups,
        rates=rates,
        local=local,
        population=population,
        warnings=warnings(
            collection,
            rates,
            [everyone, *groups],
            by_quality=job.by_quality(),
            resampled=job.resampled,
            local=local,
        ),
    )


class _Job:
    """What all groups share."""

    def __init__(
        self,
        collection: Collection,
        faces: pd.DataFrame,
        rates: ErrorRates,
        unit: Unit,
        method: Method,
        level: float,
        replicates: int,
        seed: int,
        target: Target,
    ) -> None:
        self.collection, self.unit, self.method, self.seed = collection, unit, METHODS[method], seed
        self.rates = rates
        self.photo = faces["photo"].to_numpy()
        self.cell = rates.cells(faces["quality"].to_numpy(), faces["p_male"].to_numpy())
        self.label = faces["label"].to_numpy()
        self.weight = collection.photos["weight"].to_numpy(float)
        self.amount = self.weight[self.photo]
        if unit == "screen-time":
            self.amount = self.amount * faces["seconds"].to_numpy()
        if not self.amount.sum() > 0:
            raise InputError("there is nothing to count: the faces are on screen for no time at all")
        self.scale = self.amount.mean()
        self.tails = ((1 - level) / 2, (1 + level) / 2)
        self.replicates = replicates
        # The same draws for every group: the rates are wrong in one way for all of them.
        self.point = rates.histograms()
        self.drawn = rates.drawn(replicates, np.random.default_rng([seed, 0]))
        if unit == "photos":
            coarse = rates.coarse()
            self.coarse_cell = coarse.cells(faces["quality"].to_numpy(), faces["p_male"].to_numpy())
            columns = np.searchsorted(coarse.scores, rates.middles, side="right") - 1
            merge = np.eye(len(coarse.scores) - 1)[columns]
            self.coarse_point = [(h @ merge).reshape(1, -1) for h in self.point]
            self.coarse_drawn = [(h @ merge).reshape(replicates, -1) for h in self.drawn]
        self.error = collection.photos["error_kind"].notna().to_numpy()
        self.with_face = np.bincount(collection.faces["photo"], minlength=len(self.weight)) > 0
        self.all_faces = collection.faces["photo"].to_numpy()
        self.alone = target == "these"
        self.resampled = "tracks" if self.alone else collection.kind

    def estimate(self, name: str, chosen: npt.NDArray[np.bool_], number: int) -> Estimate:
        """One row: of the photos that are chosen."""
        read = chosen & ~(self.error & ~self.with_face)
        here = np.flatnonzero(read[self.photo])
        counted = np.bincount(self.photo[here], minlength=len(self.weight)) > 0
        cluster = here if self.alone else self.photo[here]
        if self.unit == "photos":
            represented, clusters = self.weight[read].sum(), int(read.sum())
        else:
            represented, clusters = self.amount[here].sum(), len(np.unique(cluster))
        row = Estimate(
            group=name,
            photos=int(read.sum()),
            not_read=int((chosen & ~read).sum()),
            faceless=int((read & ~counted).sum()),
            faces=len(here),
            left_out=int(chosen[self.all_faces].sum()) - len(here),
            clusters=clusters,
            represented=float(represented),
            interval=self._named(clusters),
        )
        if not self.amount[here].sum() > 0:
            return row
        rng = np.random.default_rng([self.seed, 1 + number])
        values = self._faces(here, cluster, rng)
        if self.unit == "photos":
            values |= self._photos(here, read, rng)
        amount = self.amount[here]
        values["uncertain"] = float(amount[self.label[here] == "uncertain"].sum() / max(amount.sum(), 1e-12))
        if row.no_interval:
            values = {key: value for key, value in values.items() if not key.endswith(("_low", "_high"))}
        return Estimate(**{**asdict(row), **values, **self._plain(here, read)})

    def _named(self, clusters: int) -> str:
        """What the interval of a row is for, in words."""
        kind = self.collection.kind
        if self.alone:
            return "this film alone" if len(self.weight) == 1 else f"these {kind} alone"
        if kind == "videos" and clusters < FEWEST_VIDEOS:
            return f"{NO_INTERVAL}: fewer than {FEWEST_VIDEOS} videos"
        return f"{kind} like these"

    def by_quality(self) -> FloatArray:
        """Share of what is counted in each quality bin."""
        bins, columns = self.rates.female.shape
        share: FloatArray = np.bincount(self.cell // columns, self.amount, bins) / self.amount.sum()
        return share

    def _faces(self, here: IntArray, cluster: IntArray, rng: np.random.Generator) -> dict[str, float]:
        """Shares among faces or seconds, and how well the histograms fit."""
        _, position = np.unique(cluster, return_inverse=True)
        size = self.rates.female.size
        table = csr_matrix(
            (self.amount[here] / self.scale, (position, self.cell[here])), shape=(position.max() + 1, size)
        )
        shape = self.rates.female.shape
        counts = np.asarray(table.sum(axis=0)).reshape(shape)
        again = resample(table, self.replicates, rng).reshape(-1, *shape)
        shares = self.method(counts, *self.point, self.rates.middles)
        shares_again = self.method(again, *self.drawn, self.rates.middles)
        women = float(overall(counts, shares))
        low, high = self._interval(overall(again, shares_again), np.asarray(table.sum(axis=1)).ravel(), rng)
        misfit, expected = _misfit(counts, shares, *self.point)
        misfits, _ = _misfit(again, shares_again, *self.drawn)
        square = (misfit**2 / expected).sum()
        squares = ((misfits - misfit) ** 2 / expected).sum(axis=(-2, -1))
        return {
            "women": women,
            "women_low": low,
            "women_high": high,
            "men": 1 - women,
            "men_low": 1 - high,
            "men_high": 1 - low,
            "fit_distance": float(np.abs(misfit).sum() / 2),
            "fit_p": float((1 + (squares >= square).sum()) / (1 + len(squares))),
        }

    def _photos(self, here: IntArray, read: npt.NDArray[np.bool_], rng: np.random.Generator) -> dict[str, float]:
        """Shares of photos with a woman and with a man."""
        photos = np.flatnonzero(read)
        place = np.searchsorted(photos, self.photo[here])
        patterns = find_patterns(place, self.coarse_cell[here], len(photos))
        weight = self.weight[photos]
        table = csr_matrix(patterns.membership.multiply(weight[:, None]))
        counts = np.asarray(table.sum(axis=0)).reshape(1, -1)
        women, men, shares = photos_with(patterns, counts, self.coarse_point[0], self.coarse_point[1])
        joint = resample(hstack([table, csr_matrix(weight[:, None])], format="csr"), self.replicates, rng)
        many, men_again, _ = photos_with(
            patterns, joint[:, :-1], self.coarse_drawn[0], self.coarse_drawn[1], start=shares
        )
        values: dict[str, float] = {}
        for word, whole, some in (("women", women, many), ("men", men, men_again)):
            low, high = self._interval(some / np.maximum(joint[:, -1], 1e-12), weight, rng)
            values |= {word: float(whole[0] / weight.sum()), f"{word}_low": low, f"{word}_high": high}
        return values

    def _interval(self, shares: FloatArray, weights: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
        """Percentiles of replicated shares, or of those with about one cluster of either kind added, what is wider.

        The bootstrap of five women knows of no men; with the two it is as wide as it should be (A. Agresti, B. Coull,
        "Approximate is better than exact", American Statistician 52, 1998), and a thousand clusters don't notice.
        """
        clusters = weights.sum() ** 2 / (weights**2).sum()
        one, other = rng.poisson(1.0, (2, len(shares)))
        ends = np.quantile([shares, (clusters * shares + one) / (clusters + one + other)], self.tails, axis=1)
        return float(ends[0].min()), float(ends[1].max())

    def _plain(self, here: IntArray, read: npt.NDArray[np.bool_]) -> dict[str, float | None]:
        """The answers as they are."""
        if self.unit == "photos":
            whole = self.weight[read].sum()
            shown = {
                word: self.weight[np.unique(self.photo[here][self.label[here] == word])].sum() / whole
                for word in ("female", "male")
            }
            return {"plain_women": float(shown["female"]), "plain_men": float(shown["male"])}
        women, men = (self.amount[here][self.label[here] == word].sum() for word in ("female", "male"))
        if women + men == 0:
            return {"plain_women": None, "plain_men": None}
        return {"plain_women": float(women / (women + men)), "plain_men": float(men / (women + men))}


def resample(table: csr_matrix, replicates: int, rng: np.random.Generator) -> FloatArray:
    """Column sums of a table whose rows are drawn anew, as many as it has, with replacement: replicates x columns."""
    rows = table.shape[0]
    sums = np.empty((replicates, table.shape[1]))
    turned = table.T.tocsr()
    for i in range(replicates):
        drawn = rng.integers(rows, size=rows, dtype=np.uint32 if rows > 65536 else np.uint16)
        sums[i] = turned @ np.bincount(drawn, minlength=rows)
    return sums


def _misfit(
    counts: FloatArray, shares: FloatArray, female: FloatArray, male: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Observed less fitted share of faces in every cell, and the fitted; ... x Q x K each."""
    whole = np.maximum(counts.sum(axis=(-2, -1), keepdims=True), 1e-12)
    within = counts.sum(axis=-1, keepdims=True)
    share = np.clip(shares, 0, 1)[..., None]
    fitted = within / whole * (share * female + (1 - share) * male)
    return counts / whole - fitted, fitted + 1e-6


def _check(
    collection: Collection,
    unit: Unit,
    method: Method,
    group_by: str | None,
    min_quality: float,
    level: float,
    replicates: int,
    target: Target,
) -> None:
    if target not in TARGETS:
        raise InputError(f"there is no target {target!r}", remedy=f"one of {', '.join(TARGETS)}")
    if target == "these" and collection.kind == "photos":
        raise InputError("only videos can be surveyed alone")
    if unit not in UNITS:
        raise InputError(f"there is no unit {unit!r}", remedy=f"one of {', '.join(UNITS)}")
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}", remedy=f"one of {', '.join(METHODS)}")
    if (unit == "screen-time") and collection.kind == "photos":
        raise InputError("photos have no screen time", remedy="--unit faces or --unit photos")
    if (unit == "photos") and collection.kind == "videos":
        raise InputError("the results are of videos", remedy="--unit screen-time, or --unit faces for tracks")
    if not 0 <= min_quality <= 1:
        raise InputError(f"the least quality must lie in [0, 1], not {min_quality:g}")
    if not 0.5 <= level < 1:
        raise InputError(f"the level of the intervals must lie in [0.5, 1), not {level:g}")
    if replicates < 100:
        raise InputError(f"{replicates} bootstrap replicates are too few for an interval", remedy="at least 100")
    if group_by is not None and group_by not in collection.photos:
        raise InputError(
            f"neither the results nor the metadata have a column {group_by!r}",
            remedy=f"they have: {', '.join(map(str, collection.photos.columns))}",
        )
