"""How a classifier errs: the histograms of its scores for women and for men, by the quality of the face."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from facegender import weights
from facegender.errors import InputError
from facegender.files import write_text
from facegender.survey.effects import SetCounts, effects, logits
from facegender.survey.prevalence import FloatArray, IntArray
from facegender.survey.results import Results

#: Bounds of the bins of p_male, narrow where most scores are.
SCORES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0)
#: The same for a few hundred labels; each of these is a bound above too.
COARSE_SCORES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
#: Bounds of the bins of quality: under 0.5 a face is in the gray zone.
QUALITIES = (0.0, 0.3, 0.5, 0.75, 1.0)

#: A quality bin with fewer faces of a gender is joined with its neighbour.
_FEW_IN_BIN = 30
#: Weight, in faces, of the prior that a quality bin's histogram is that of all bins, and that it is flat.
_POOLED, _FLAT = 2.0, 0.5
#: Weight, in labelled faces, of the prior that the share of women in a cell is that of its score in all quality bins;
#: and what is added of either gender before a share is drawn, so that a few faces of one gender do not rule out the
#: other.
_SAME, _EITHER = 1.0, 0.25

_FORMAT = 1
_SUFFIX = ".errors.json"


@dataclass(frozen=True)
class ErrorRates:
    """Counts of faces of known gender; everything about a classifier's errors follows from them.

    Attributes:
        model, sha256: the classifier.
        detector: sha256 of the face detector, "" where unknown.
        source: the faces, in words.
        scores: bounds of the K bins of p_male, from 0 to 1.
        qualities: bounds of the Q bins of quality, from 0 to 1.
        female, male: Q x K: women's and men's faces. Whole numbers, or with unequal weights the numbers of faces of
            equal weight that would say as much.
        not_found: women's and men's photos in which no face was found, or not the labelled one.
        command: what measured them.
        totals: float64, Q x K: faces of the collection in each cell, where `female` and `male` are labels of faces that
            were drawn from it without regard to their gender; the share of women among the labelled faces of a cell is
            then that of the cell. None where the faces of either gender are a sample of it.

        sets: counts of several sets, each in the same versions; with them the error rates are those of all sets
            together, and what is drawn knows how much sets differ. Empty where there are no such counts.

    Raises:
        ValueError: bounds that do not rise from 0 to 1, or counts of another shape or below 0.
    """

    model: str
    sha256: str
    detector: str
    source: str
    scores: tuple[float, ...]
    qualities: tuple[float, ...]
    female: IntArray | FloatArray
    male: IntArray | FloatArray
    not_found: tuple[int, int]
    command: str
    totals: FloatArray | None = None
    sets: Sequence[SetCounts] = ()

    def __post_init__(self) -> None:
        for bounds in (self.scores, self.qualities):
            if len(bounds) < 2 or bounds[0] != 0 or bounds[-1] != 1 or (np.diff(bounds) <= 0).any():
                raise ValueError(f"bounds must rise from 0 to 1, not {bounds}")
        shape = len(self.qualities) - 1, len(self.scores) - 1
        of_sets = [counts for some in self.sets for counts in (some.female, some.male)]
        for counts in (self.female, self.male, *(() if self.totals is None else (self.totals,)), *of_sets):
            if counts.shape != shape or (counts < 0).any():
                raise ValueError(f"counts must be {shape[0]} x {shape[1]} and not negative")

    def cells(self, quality: FloatArray, p_male: FloatArray) -> IntArray:
        """The place of each face in a raveled Q x K table; int64, N."""
        row = np.clip(np.searchsorted(self.qualities, quality, side="right") - 1, 0, len(self.qualities) - 2)
        column = np.clip(np.searchsorted(self.scores, p_male, side="right") - 1, 0, len(self.scores) - 2)
        return np.asarray(row * (len(self.scores) - 1) + column, np.int64)

    @property
    def middles(self) -> FloatArray:
        """The middle of each score bin, K."""
        return np.convolve(self.scores, [0.5, 0.5], "valid")

    def histograms(self) -> tuple[FloatArray, FloatArray]:
        """What women's and men's faces look like in each quality bin: Q x K each, rows sum to 1."""
        women, men = self._posterior_counts() if self.totals is None else self._split(self.totals)
        return _normalized(women), _normalized(men)

    def drawn(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """As `histograms`, but what they might as well be, `count` x Q x K each.

        Draws from the Dirichlet distribution that the counts leave (the Bayesian bootstrap of the labelled faces:
        D. Rubin, Annals of Statistics 9, 1981); with `totals`, of the share of women in each cell from the beta
        distribution that its labels leave. With `sets`, each draw is of another collection: `effects`.
        """
        if self.totals is None:
            women, men = (rng.standard_gamma(a, size=(count, *a.shape)) + 1e-9 for a in self._posterior_counts())
            if self.sets:
                tilts = effects(self.sets, *self.histograms(), self.middles).drawn(count, rng)
                factors = np.exp(tilts[..., None, None] * logits(self.middles))
                women, men = women * factors[:, 0], men * factors[:, 1]
            return _normalized(women), _normalized(men)
        prior = self._prior()
        a, b = self.female + prior[0] + _EITHER, self.male + prior[1] + _EITHER
        women, men = self._split(self.totals, rng.beta(a, b, size=(count, *a.shape)))
        return _normalized(women), _normalized(men)

    def _posterior_counts(self) -> tuple[FloatArray, FloatArray]:
        """Counts and prior, so that no cell is held impossible."""
        flat = _FLAT / (len(self.scores) - 1)
        women, men = (
            counts + _POOLED * (counts.sum(axis=0) + flat) / (counts.sum() + _FLAT) + flat for counts in self._counted()
        )
        return women, men

    def _counted(self) -> tuple[IntArray | FloatArray, IntArray | FloatArray]:
        """Women's and men's faces that the histograms are of."""
        some = self.sets or (self,)
        return np.sum([each.female for each in some], axis=0), np.sum([each.male for each in some], axis=0)

    def _prior(self) -> tuple[FloatArray, FloatArray]:
        """The prior of the labels of each cell: its score is right, and the same anywhere."""
        women, men = self.female.sum(axis=0), self.male.sum(axis=0)
        share = (women + 1 - self.middles) / (women + men + 1)
        return _SAME * share, _SAME * (1 - share)

    def _split(self, totals: FloatArray, share: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Women's and men's faces in each cell of the collection; none is held empty. None: the likeliest share."""
        if share is None:
            prior = self._prior()
            women = self.female + prior[0]
            share = women / (women + self.male + prior[1])
        totals = totals + 1e-6 * max(totals.sum(), 1.0) / totals.size
        return totals * share + 1e-12, totals * (1 - share) + 1e-12

    def coarse(self) -> ErrorRates:
        """The same with the bins of `COARSE_SCORES`, as far as they are finer."""
        coarse = [i for i, bound in enumerate(self.scores) if bound in COARSE_SCORES or bound in (0.0, 1.0)]
        return self._merged(coarse[:-1], 1, tuple(self.scores[i] for i in coarse), self.qualities)

    def joined(self) -> ErrorRates:
        """The same with neighbouring quality bins joined until each has enough faces of both genders."""
        first, begin = [], 0
        for row in range(len(self.female)):
            if min(counts[begin : row + 1].sum() for counts in (self.female, self.male)) >= _FEW_IN_BIN:
                first.append(begin)
                begin = row + 1
        first = first or [0]  # what is left over goes to the last
        return self._merged(first, 0, self.scores, (*(self.qualities[row] for row in first), 1.0))

    def _merged(
        self, first: Sequence[int], axis: int, scores: tuple[float, ...], qualities: tuple[float, ...]
    ) -> ErrorRates:
        """The same counts under new bounds: the bins along an axis are joined, each group from one of `first` on."""

        def merged(some: ErrorRates | SetCounts) -> dict[str, Any]:
            return {word: np.add.reduceat(getattr(some, word), first, axis=axis) for word in ("female", "male")}

        totals = None if self.totals is None else np.add.reduceat(self.totals, first, axis=axis)
        sets = tuple(replace(some, **merged(some)) for some in self.sets)
        return replace(self, scores=scores, qualities=qualities, **merged(self), totals=totals, sets=sets)

    def summary(self) -> list[tuple[str, int, float, int, float]]:
        """For each quality bin its name, women's faces, the share of them called male, men's, and that called female.

        With 0.5 as the border; a score bin that the border cuts counts in part.
        """
        right = np.clip((np.asarray(self.scores[1:]) - 0.5) / np.diff(self.scores), 0, 1)
        women, men = self._counted()
        seen = (women, men) if self.totals is None else self._split(self.totals)
        rows = []
        for i, (f, m) in enumerate(zip(*seen, strict=True)):
            name = f"{self.qualities[i]:g} to {self.qualities[i + 1]:g}"
            wrong = float(f @ right / max(f.sum(), 1e-9)), float(m @ (1 - right) / max(m.sum(), 1e-9))
            rows.append((name, round(women[i].sum()), wrong[0], round(men[i].sum()), wrong[1]))
        return rows

    def found(self) -> list[tuple[str, float, float]]:
        """How often a face was found in photos of known gender: which photos, and the shares of women's and men's.

        Empty where that was not counted, or where only faces that were found were labelled.
        """
        shares = []
        if self.totals is None and any(self.not_found):
            shares.append((self.source, *_found(int(self.female.sum()), int(self.male.sum()), self.not_found)))
        for name in dict.fromkeys(some.name for some in self.sets):
            here = [some for some in self.sets if some.name == name]
            missed = [some.not_found for some in here if some.not_found is not None]
            if len(missed) == len(here):
                women, men = (sum(int(getattr(some, word).sum()) for some in here) for word in ("female", "male"))
                shares.append((name, *_found(women, men, (sum(w for w, _ in missed), sum(m for _, m in missed)))))
        return shares

    def to_dict(self) -> dict[str, Any]:
        """The record for the JSON file."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        record["sets"] = [some.to_dict() for some in self.sets] or None
        plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in record.items()}
        return {"format": _FORMAT, **{key: value for key, value in plain.items() if value is not None}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ErrorRates:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is something else."""
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']} is not {_FORMAT}")
        women, men = record["not_found"]
        totals = record.get("totals")
        kind: type[Any] = np.int64 if totals is None else np.float64
        return cls(
            **{key: str(record[key]) for key in ("model", "sha256", "detector", "source", "command")},
            scores=tuple(map(float, record["scores"])),
            qualities=tuple(map(float, record["qualities"])),
            female=np.array(record["female"], kind),
            male=np.array(record["male"], kind),
            not_found=(int(women), int(men)),
            totals=None if totals is None else np.array(totals, np.float64),
            sets=tuple(map(SetCounts.from_dict, record.get("sets", ()))),
        )

    def save(self, path: Path) -> None:
        """Write the JSON file; OutputError where that fails."""
        record = self.to_dict()
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
        write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def load_rates(path: Path) -> ErrorRates:
    """Read a file of error rates.

    Raises:
        InputError: it is absent or is something else.
    """
    try:
        return ErrorRates.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} holds no error rates: {error}", remedy="give NAME.errors.json") from error


def shipped_rates(collection: Results, model: str | None = None) -> ErrorRates:
    """The error rates of the classifier that made the results, which lie beside its weights in this package.

    Args:
        model: the name of a shipped classifier, where the results do not say which it was.

    Raises:
        InputError: it is not known which it was, its rates are not known, or the results name another.
    """
    remedy = "label faces with facegender label and pass --labelled, or pass --rates FILE"
    if collection.model is None and model is None:
        raise InputError(
            "no .run.json beside the results says which model made them",
            remedy=f"pass --model NAME ({', '.join(weights.list_models())}); or {remedy}",
        )
    if model is not None and model not in weights.list_models():
        raise InputError(f"no model {model!r} is shipped", remedy=f"one of {', '.join(weights.list_models())}")
    name, digest = collection.model or (model or "", weights.load_card(model or "").sha256)
    if model not in (None, name):
        raise InputError(f"the results were made by the model {name}, not {model}", remedy="leave out --model")
    for known in weights.list_models():
        path = weights.weight_path(known).with_suffix(_SUFFIX)
        if path.is_file() and (rates := load_rates(path)).sha256 == digest:
            return rates
    raise InputError(f"the error rates of the model {name} ({digest[:8]}) are not known", remedy=remedy)


def _found(women: int, men: int, not_found: tuple[int, int]) -> tuple[float, float]:
    """Shares of women's and of men's photos in which a face was found."""
    return women / max(women + not_found[0], 1), men / max(men + not_found[1], 1)


def _normalized(counts: FloatArray) -> FloatArray:
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True), np.float64)
