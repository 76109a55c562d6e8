"""The share of photos that show a woman, or a man: who is in a photo together matters, not only how many there are.

Of all photos with m faces an unknown share has j women among them, for j from 0 to m. Given who is there, each face's
score is drawn from the histogram of its gender. The likeliest shares are found by EM, for every m by itself; couples,
all-male boards and whatever else people take pictures of need no assumption.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from facegender.survey.prevalence import FloatArray, IntArray, imputed

_STEPS = 400
#: From the point estimate on a replicate has not far to go.
_STEPS_OF_REPLICATE = 40
#: Values of the largest array.
_MOST = 20_000_000


@dataclass(frozen=True)
class Patterns:
    """The photos with faces, those with the same cells as one.

    Attributes:
        cells: for each number of faces m, int64, P x m: the cells of each pattern, ascending.
        first: for each m, the position of its first pattern among all.
        membership: photos x patterns, 1 where a photo is of a pattern; a photo without faces is of none.
    """

    cells: dict[int, IntArray]
    first: dict[int, int]
    membership: csr_matrix

    def parts(self, replicates: int) -> Iterator[tuple[int, IntArray, slice, slice]]:
        """For each m the cells and the places of its patterns, for as many replicates at a time as memory holds."""
        for size, cells in self.cells.items():
            here = slice(self.first[size], self.first[size] + len(cells))
            step = max(1, _MOST // (len(cells) * (size + 1)))
            for begin in range(0, replicates, step):
                yield size, cells, here, slice(begin, begin + step)


def find_patterns(photo: IntArray, cell: IntArray, photos: int) -> Patterns:
    """The patterns of `photos` photos: each face's photo, from 0, and cell."""
    order = np.lexsort((cell, photo))
    photo, cell = photo[order], cell[order]
    count = np.bincount(photo, minlength=photos)
    begin = np.concatenate([[0], np.cumsum(count)[:-1]])
    cells: dict[int, IntArray] = {}
    first: dict[int, int] = {}
    rows, columns, patterns = [], [], 0
    for size in np.unique(count[count > 0]).tolist():
        here = np.flatnonzero(count == size)
        table = cell[begin[here][:, None] + np.arange(size)]
        cells[size], inverse = np.unique(table, axis=0, return_inverse=True)
        first[size] = patterns
        rows.append(here)
        columns.append(patterns + inverse.reshape(-1))
        patterns += len(cells[size])
    row, column = np.concatenate(rows), np.concatenate(columns)
    membership = csr_matrix((np.ones(len(row)), (row, column)), shape=(photos, patterns))
    return Patterns(cells, first, membership)


def photos_with(
    patterns: Patterns,
    counts: FloatArray,
    female: FloatArray,
    male: FloatArray,
    start: dict[int, FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray, dict[int, FloatArray]]:
    """How many photos show at least one woman, and at least one man.

    Args:
        counts: photos of each pattern, B x P.
        female, male: probability of each cell for a woman's and for a man's face, B x C.
        start: shares of the compositions to begin with, as they come back from the point estimate.

    Returns:
        photos with a woman, photos with a man (B each), and the shares of the compositions, m to B x (m + 1).
    """
    women, men = np.zeros(len(counts)), np.zeros(len(counts))
    shares = {size: np.empty((len(counts), size + 1)) for size in patterns.cells}
    for size, cells, here, part in patterns.parts(len(counts)):
        some = counts[part, here]
        initial = np.full(size + 1, 1 / (size + 1))
        if start is not None:
            initial = 0.95 * start[size][0] + 0.05 * initial
        steps = _STEPS if start is None else _STEPS_OF_REPLICATE
        shares[size][part] = _likeliest(_likelihoods(cells, female[part], male[part]), some, initial, steps)
        women[part] += some.sum(axis=1) * (1 - shares[size][part, 0])
        men[part] += some.sum(axis=1) * (1 - shares[size][part, size])
    return women, men, shares


def photos_showing(
    patterns: Patterns,
    counts: FloatArray,
    squares: FloatArray,
    female: FloatArray,
    male: FloatArray,
    shares: dict[int, FloatArray],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """How many of exactly these photos show at least one woman, and at least one man, with the unknown imputed.

    Args:
        counts, squares: sums over the photos of each pattern of their weights and of the squares of these, P.
        female, male: probability of each cell for a woman's and for a man's face, B x C.
        shares: of the compositions, m to B x (m + 1).
        rng: draws who is in the photos whose faces leave it open.

    Returns:
        photos with a woman, photos with a man; B each.
    """
    shown = np.zeros((2, len(female)))
    for size, cells, here, part in patterns.parts(len(female)):
        posterior = _posterior(cells, female[part], male[part], shares[size][part])
        for which, composition in enumerate((0, size)):
            chance = 1 - posterior[..., composition]
            shown[which, part] += imputed(counts[here], squares[here], chance, rng).sum(axis=-1)
    return shown[0], shown[1]


def chances_of_a_woman(
    patterns: Patterns, female: FloatArray, male: FloatArray, shares: dict[int, FloatArray]
) -> FloatArray:
    """The chance that a photo of each pattern shows a woman, P.

    Args:
        female, male: probability of each cell for a woman's and for a man's face, 1 x C.
        shares: of the compositions, m to 1 x (m + 1).
    """
    chances = [1 - _posterior(cells, female, male, shares[size])[0, :, 0] for size, cells in patterns.cells.items()]
    return np.concatenate(chances)


def _posterior(cells: IntArray, female: FloatArray, male: FloatArray, shares: FloatArray) -> FloatArray:
    """How probable each composition of each pattern is, given its cells: B x P x (m + 1)."""
    posterior = _likelihoods(cells, female, male) * shares[:, None]
    posterior /= np.maximum(posterior.sum(axis=-1, keepdims=True), 1e-300)
    return posterior


def _likelihoods(cells: IntArray, female: FloatArray, male: FloatArray) -> FloatArray:
    """Of each pattern under each composition, up to a factor a pattern: B x P x (m + 1).

    Over all ways to choose j women of m the mean product, built up face by face.
    """
    size = cells.shape[1]
    like = np.ones((len(female), len(cells), 1))
    for i in range(1, size + 1):
        f, m = female[:, cells[:, i - 1], None], male[:, cells[:, i - 1], None]
        women = np.arange(i + 1) / i
        grown = np.zeros((*like.shape[:2], i + 1))
        grown[..., :-1] += m / (f + m) * like * (1 - women[:-1])
        grown[..., 1:] += f / (f + m) * like * women[1:]
        like = grown
    return like


def _likeliest(like: FloatArray, counts: FloatArray, initial: FloatArray, steps: int) -> FloatArray:
    """EM for the shares of compositions, B x (m + 1)."""
    shares = np.tile(initial, (len(counts), 1))
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    for _ in range(steps):
        mixed = np.matmul(like, shares[:, :, None])[..., 0]
        ratio = counts / np.maximum(mixed, 1e-300)
        shares = shares * np.matmul(ratio[:, None], like)[:, 0] / total
    return shares
