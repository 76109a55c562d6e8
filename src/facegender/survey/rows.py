"""One row of a survey: corrected shares of some of the photos, and their intervals."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix, hstack

from facegender.errors import InputError
from facegender.survey.compositions import chances_of_a_woman, find_patterns, photos_showing, photos_with
from facegender.survey.effects import plausibility
from facegender.survey.groups import Clusters, design_effect
from facegender.survey.outcome import FEWEST, NO_INTERVAL, Estimate, Target, Unit
from facegender.survey.prevalence import METHODS, FloatArray, IntArray, Method, imputed, overall
from facegender.survey.rates import ErrorRates
from facegender.survey.results import Results


class Rows:
    """What all rows of a survey share.

    Args:
        faces: those of `Results.faces` that count.
        known: int64, one of those faces each: 0 where its label is female, 1 male, -1 where there is none.
        unit, method, level, replicates, seed, target, clusters: as for `facegender.survey.estimate.survey`.

    Raises:
        InputError: the faces are on screen for no time at all.
    """

    def __init__(
        self,
        collection: Results,
        faces: pd.DataFrame,
        known: IntArray,
        rates: ErrorRates,
        *,
        unit: Unit,
        method: Method,
        level: float,
        replicates: int,
        seed: int,
        target: Target,
        clusters: Clusters | None = None,
    ) -> None:
        self.collection, self.unit, self.method, self.seed = collection, unit, METHODS[method], seed
        self.rates, self.known, self.alone = rates, known, target == "these"
        self.photo = faces["photo"].to_numpy()
        self.cell = rates.cells(faces["quality"].to_numpy(), faces["p_male"].to_numpy())
        self.label = faces["label"].to_numpy()
        self.weight = collection.photos["weight"].to_numpy(float)
        self.clustered = clusters is not None
        #: What is drawn as a whole; without clusters each photo or film by itself.
        self.cluster = np.arange(len(self.weight)) if clusters is None else clusters.codes
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
            self._coarsen(faces)
        self.error = collection.photos["error_kind"].notna().to_numpy()
        self.with_face = np.bincount(collection.faces["photo"], minlength=len(self.weight)) > 0
        self.all_faces = collection.faces["photo"].to_numpy()
        #: How plausible each draw of the error rates is for the row in hand; even where all are equally so.
        self.plausible = np.full(replicates, 1 / replicates)
        self.faces = {"photos": "faces", "videos": "tracks"}[collection.kind]
        self.resampled: str = "clusters" if self.clustered else collection.kind
        if self.alone and unit != "photos":
            self.resampled = self.faces

    def _coarsen(self, faces: pd.DataFrame) -> None:
        """Cells for compositions: with coarse bins, and after them one for a labelled woman and one for a man."""
        coarse = self.rates.coarse()
        self.coarse_cell = coarse.cells(faces["quality"].to_numpy(), faces["p_male"].to_numpy())
        columns = np.searchsorted(coarse.scores, self.rates.middles, side="right") - 1
        merge = np.eye(len(coarse.scores) - 1)[columns]

        def flat(histograms: FloatArray, woman: float) -> FloatArray:
            cells = (histograms @ merge).reshape(*histograms.shape[:-2], -1)
            ends = np.broadcast_to([woman, 1 - woman], (*cells.shape[:-1], 2))
            return np.concatenate([cells, ends], axis=-1)

        self.coarse_point = flat(self.point[0][None], 1.0), flat(self.point[1][None], 0.0)
        self.coarse_drawn = flat(self.drawn[0], 1.0), flat(self.drawn[1], 0.0)
        labelled = self.known >= 0
        self.coarse_cell[labelled] = coarse.female.size + self.known[labelled]

    def estimate(self, name: str, mask: npt.NDArray[np.bool_], number: int) -> Estimate:
        """The row of some photos.

        Args:
            mask: bool, one a photo; which they are.
            number: of the row, for its random numbers.
        """
        read = mask & ~(self.error & ~self.with_face)
        here = np.flatnonzero(read[self.photo])
        counted = np.bincount(self.photo[here], minlength=len(self.weight)) > 0
        if self.unit == "photos":
            drawn, mass = self.cluster[read], self.weight[read]
        else:
            drawn, mass = (here if self.alone else self.cluster[self.photo[here]]), self.amount[here]
        unique, position = np.unique(drawn, return_inverse=True)
        clusters, represented = len(unique), mass.sum()
        row = Estimate(
            group=name,
            photos=int(read.sum()),
            not_read=int((mask & ~read).sum()),
            faceless=int((read & ~counted).sum()),
            faces=len(here),
            left_out=int(mask[self.all_faces].sum()) - len(here),
            labelled=int((self.known[here] >= 0).sum()),
            clusters=clusters,
            represented=float(represented),
            interval=self._named(int(read.sum()), clusters),
            largest_cluster=(
                float(np.bincount(position, mass).max() / represented) if self.clustered and represented > 0 else None
            ),
        )
        rng = np.random.default_rng([self.seed, 1 + number])
        values: dict[str, float | None] = {}
        what, count = ("photos", row.photos) if self.unit == "photos" else (self.faces, row.faces)
        if count < FEWEST and not self.alone:
            return replace(row, interval=f"{NO_INTERVAL}: fewer than {FEWEST} {what}")
        if (amount := self.amount[here]).sum() > 0:
            values = self._faces(here, rng) | self._plain(here, read)
            values["uncertain"] = float(amount[self.label[here] == "uncertain"].sum() / max(amount.sum(), 1e-12))
            if self.unit == "photos":
                values |= self._photos(here, read, rng)
        elif self.unit == "photos" and represented > 0:
            # No face counts, so no photo shows a woman or a man.
            masses = np.asarray(np.bincount(position, mass), np.float64)
            high = self._interval(np.zeros(self.replicates), masses, rng)[1]
            for word in ("women", "men"):
                values |= {word: 0.0, f"plain_{word}": 0.0, f"{word}_low": 0.0, f"{word}_high": high}
        if row.no_interval:
            values = {key: value for key, value in values.items() if not key.endswith(("_low", "_high"))}
        return Estimate(**{**asdict(row), **values})

    def _named(self, photos: int, clusters: int) -> str:
        """What the interval of a row is for, in words."""
        kind = self.collection.kind
        if self.alone:
            one = {"photos": "this photo alone", "videos": "this film alone"}
            return one[kind] if photos == 1 else f"these {kind} alone"
        if (kind == "videos" or self.clustered) and clusters < FEWEST:
            return f"{NO_INTERVAL}: fewer than {FEWEST} {self.resampled}"
        return f"{kind} like these"

    def by_quality(self) -> FloatArray:
        """Share of what is counted in each quality bin."""
        bins, columns = self.rates.female.shape
        share: FloatArray = np.bincount(self.cell // columns, self.amount, bins) / self.amount.sum()
        return share

    def _faces(self, here: IntArray, rng: np.random.Generator) -> dict[str, float | None]:
        """Shares among faces or seconds, and how well the histograms fit."""
        photo = self.photo[here]
        unique, position = np.unique(here if self.alone else self.cluster[photo], return_inverse=True)
        size, shape = self.rates.female.size, self.rates.female.shape
        amount = self.amount[here] / self.scale
        table = csr_matrix((amount, (position, self.cell[here])), shape=(position.max() + 1, size))
        counts = np.asarray(table.sum(axis=0)).reshape(shape)
        again = resample(table, self.replicates, rng).reshape(-1, *shape)
        shares = self.method(counts, *self.point, self.rates.middles)
        shares_again = self.method(again, *self.drawn, self.rates.middles)
        if self.rates.sets:
            fitted = self.method(np.broadcast_to(counts, again.shape), *self.drawn, self.rates.middles)
            # A cluster says as much as one of its photos.
            independent = len(here) * len(unique) / len(np.unique(photo)) if self.clustered else len(here)
            self.plausible = plausibility(counts, independent, fitted, *self.drawn)
        if self.alone:
            women = float(self._women_here(here, shares, self.point, None))
            replicated = self._women_here(here, shares_again, self.drawn, rng)
        else:
            women, replicated = float(overall(counts, shares)), overall(again, shares_again)
        low, high = self._interval(replicated, np.asarray(table.sum(axis=1)).ravel(), rng)
        low, high = min(low, women), max(high, women)
        misfit, expected = _misfit(counts, shares, *self.point)
        misfits, _ = _misfit(again, shares_again, *self.drawn)
        effect = None
        if self.clustered:
            chance = _chances(shares, *self.point).ravel()[self.cell[here]]
            deviations = amount * (chance - np.average(chance, weights=amount))
            effect = design_effect(deviations, photo, self.cluster[photo])
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
            "design_effect": effect,
        }

    def _women_here(
        self,
        here: IntArray,
        shares: FloatArray,
        histograms: tuple[FloatArray, FloatArray],
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """The share of women among exactly these faces: labelled ones are known, the gender of others is imputed.

        Multiple imputation (D. Rubin, "Multiple imputation for nonresponse in surveys", 1987); without `rng` its mean.

        Args:
            shares: of women in each quality bin, ... x Q.
            histograms: of women's and men's faces, ... x Q x K each.
        """
        known, amount, shape = self.known[here], self.amount[here], self.rates.female.shape
        left = known < 0
        cell, size = self.cell[here][left], self.rates.female.size
        mass, square = (
            np.asarray(np.bincount(cell, amount[left] ** power, size).reshape(shape), np.float64) for power in (1, 2)
        )
        chance = _chances(shares, *histograms)
        drawn = mass * chance if rng is None else imputed(mass, square, chance, rng)
        share_here: FloatArray = (amount[known == 0].sum() + drawn.sum(axis=(-2, -1))) / amount.sum()
        return share_here

    def _photos(self, here: IntArray, read: npt.NDArray[np.bool_], rng: np.random.Generator) -> dict[str, float | None]:
        """Shares of photos with a woman and with a man."""
        photos = np.flatnonzero(read)
        place = np.searchsorted(photos, self.photo[here])
        patterns = find_patterns(place, self.coarse_cell[here], len(photos))
        weight = self.weight[photos]
        table = csr_matrix(patterns.membership.multiply(weight[:, None]))
        counts = np.asarray(table.sum(axis=0)).reshape(1, -1)
        women, men, shares = photos_with(patterns, counts, *self.coarse_point)
        _, position = np.unique(self.cluster[photos], return_inverse=True)
        together = csr_matrix((np.ones(len(photos)), (position, np.arange(len(photos)))))
        masses = together @ weight
        joint = together @ hstack([table, csr_matrix(weight[:, None])], format="csr")
        joint = resample(joint, self.replicates, rng)
        many, men_again, shares_again = photos_with(patterns, joint[:, :-1], *self.coarse_drawn, start=shares)
        whole = np.maximum(joint[:, -1], 1e-12)
        if self.alone:
            squares = np.asarray(table.multiply(table).sum(axis=0)).ravel()
            many, men_again = photos_showing(patterns, counts[0], squares, *self.coarse_drawn, shares_again, rng)
            whole = weight.sum()
        values: dict[str, float | None] = {}
        if self.clustered:
            chance = patterns.membership @ chances_of_a_woman(patterns, *self.coarse_point, shares)
            deviations = weight * (chance - np.average(chance, weights=weight))
            values["design_effect"] = design_effect(deviations, photos, self.cluster[photos])
        for word, point, some in (("women", women, many), ("men", men, men_again)):
            low, high = self._interval(some / whole, masses, rng)
            share = float(point[0] / weight.sum())
            values |= {word: share, f"{word}_low": min(low, share), f"{word}_high": max(high, share)}
        return values

    def _interval(self, shares: FloatArray, weights: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
        """Percentiles of replicated shares, or of those with about one cluster of either kind added, what is wider.

        The bootstrap of five women knows of no men; with the two it is as wide as it should be (A. Agresti, B. Coull,
        "Approximate is better than exact", American Statistician 52, 1998), and a thousand clusters don't notice. For
        these photos alone nothing is added.
        """
        if self.alone:
            return self._ends(shares)
        clusters = weights.sum() ** 2 / (weights**2).sum()
        one, other = rng.poisson(1.0, (2, len(shares)))
        ends = self._ends(shares), self._ends((clusters * shares + one) / (clusters + one + other))
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _ends(self, shares: FloatArray) -> tuple[float, float]:
        """Percentiles of replicated shares, each as plausible as its error rates."""
        if not self.rates.sets:
            low, high = np.quantile(shares, self.tails)
            return float(low), float(high)
        order = np.argsort(shares)
        places = np.minimum(np.searchsorted(np.cumsum(self.plausible[order]), self.tails), len(shares) - 1)
        low, high = shares[order[places]]
        return float(low), float(high)

    def _plain(self, here: IntArray, read: npt.NDArray[np.bool_]) -> dict[str, float | None]:
        """The answers as they are."""
        faces = [here[self.label[here] == word] for word in ("female", "male")]
        if self.unit == "photos":
            women, men = (self.weight[np.unique(self.photo[some])].sum() for some in faces)
            whole = self.weight[read].sum()
        else:
            women, men = (self.amount[some].sum() for some in faces)
            whole = women + men
        if whole == 0:
            return {"plain_women": None, "plain_men": None}
        return {"plain_women": float(women / whole), "plain_men": float(men / whole)}


def resample(table: csr_matrix, replicates: int, rng: np.random.Generator) -> FloatArray:
    """Column sums of a table whose rows are drawn again, as many as it has, with replacement: replicates x columns."""
    rows = table.shape[0]
    sums = np.empty((replicates, table.shape[1]))
    turned = table.T.tocsr()
    for i in range(replicates):
        drawn = rng.integers(rows, size=rows, dtype=np.uint32 if rows > 65536 else np.uint16)
        sums[i] = turned @ np.bincount(drawn, minlength=rows)
    return sums


def _chances(shares: FloatArray, female: FloatArray, male: FloatArray) -> FloatArray:
    """The chance that a face of each cell is a woman's, ... x Q x K, where `shares` of the faces are, ... x Q."""
    share = np.clip(shares, 0, 1)[..., None]
    women, men = share * female, (1 - share) * male
    chances: FloatArray = women / np.maximum(women + men, 1e-300)
    return chances


def _misfit(
    counts: FloatArray, shares: FloatArray, female: FloatArray, male: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Observed less fitted share of faces in every cell, and the fitted; ... x Q x K each."""
    whole = np.maximum(counts.sum(axis=(-2, -1), keepdims=True), 1e-12)
    within = counts.sum(axis=-1, keepdims=True)
    share = np.clip(shares, 0, 1)[..., None]
    fitted = within / whole * (share * female + (1 - share) * male)
    return counts / whole - fitted, fitted + 1e-6
