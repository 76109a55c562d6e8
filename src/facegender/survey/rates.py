"""How a classifier errs: the histograms of its scores for women and for men, by the quality of the face."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from facegender import weights
from facegender.errors import InputError
from facegender.files import atomic_file
from facegender.survey.labels import read_labels
from facegender.survey.results import Collection

IntArray: TypeAlias = npt.NDArray[np.int64]
FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Bounds of the bins of p_male, narrow where most scores are.
SCORES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0)
#: The same for a few hundred labels; each of these is a bound above too.
COARSE_SCORES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
#: Bounds of the bins of quality: under 0.5 a face is in the gray zone.
QUALITIES = (0.0, 0.3, 0.5, 0.75, 1.0)

#: With fewer faces of a gender the bins are coarse.
_FEW = 1500
#: A quality bin with fewer faces of a gender is joined with its neighbour.
_FEW_IN_BIN = 30
#: Belief, in faces, that a quality bin's histogram is that of all bins, and that it is flat.
_POOLED, _FLAT = 2.0, 0.5

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
        female, male: int64, Q x K: women's and men's faces.
        not_found: women's and men's photos in which no face was found, or not the labelled one.
        command: what measured them.

    Raises:
        ValueError: bounds that do not rise from 0 to 1, or counts of another shape or below 0.
    """

    model: str
    sha256: str
    detector: str
    source: str
    scores: tuple[float, ...]
    qualities: tuple[float, ...]
    female: IntArray
    male: IntArray
    not_found: tuple[int, int]
    command: str

    def __post_init__(self) -> None:
        for bounds in (self.scores, self.qualities):
            if len(bounds) < 2 or bounds[0] != 0 or bounds[-1] != 1 or (np.diff(bounds) <= 0).any():
                raise ValueError(f"bounds must rise from 0 to 1, not {bounds}")
        shape = len(self.qualities) - 1, len(self.scores) - 1
        for counts in (self.female, self.male):
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
        beliefs = self._beliefs()
        return beliefs[0] / beliefs[0].sum(axis=-1, keepdims=True), beliefs[1] / beliefs[1].sum(axis=-1, keepdims=True)

    def drawn(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """As `histograms`, but what they might as well be: `count` draws from the Dirichlet that the counts leave,
        `count` x Q x K each. (The Bayesian bootstrap of the labelled faces: D. Rubin, Annals of Statistics 9, 1981.)
        """
        women, men = (rng.standard_gamma(belief, size=(count, *belief.shape)) + 1e-9 for belief in self._beliefs())
        return women / women.sum(axis=-1, keepdims=True), men / men.sum(axis=-1, keepdims=True)

    def _beliefs(self) -> tuple[FloatArray, FloatArray]:
        """Counts and what is believed beforehand, so that no cell is held impossible."""
        flat = _FLAT / (len(self.scores) - 1)
        women, men = (
            counts + _POOLED * (counts.sum(axis=0) + flat) / (counts.sum() + _FLAT) + flat
            for counts in (self.female, self.male)
        )
        return women, men

    def coarse(self) -> ErrorRates:
        """The same with the bins of `COARSE_SCORES`, as far as they are finer."""
        kept = [i for i, bound in enumerate(self.scores) if bound in COARSE_SCORES or bound in (0.0, 1.0)]
        women, men = (np.add.reduceat(counts, kept[:-1], axis=1) for counts in (self.female, self.male))
        return replace(self, scores=tuple(self.scores[i] for i in kept), female=women, male=men)

    def joined(self) -> ErrorRates:
        """The same with neighbouring quality bins joined until each has enough faces of both genders."""
        bounds, women, men = [0.0], [], []
        some: list[IntArray] = [np.zeros(len(self.scores) - 1, np.int64)] * 2
        for upper, f, m in zip(self.qualities[1:], self.female, self.male, strict=True):
            some = [some[0] + f, some[1] + m]
            if min(part.sum() for part in some) >= _FEW_IN_BIN:
                bounds.append(upper)
                women.append(some[0])
                men.append(some[1])
                some = [np.zeros_like(f), np.zeros_like(m)]
        if not women:
            return replace(self, qualities=(0.0, 1.0), female=some[0][None], male=some[1][None])
        bounds[-1], women[-1], men[-1] = 1.0, women[-1] + some[0], men[-1] + some[1]
        return replace(self, qualities=tuple(bounds), female=np.stack(women), male=np.stack(men))

    def summary(self) -> list[tuple[str, int, float, int, float]]:
        """For each quality bin its name, women's faces, the share of them called male, men's, and that called female.

        With 0.5 as the border; a score bin that the border cuts counts in part.
        """
        right = np.clip((np.asarray(self.scores[1:]) - 0.5) / np.diff(self.scores), 0, 1)
        rows = []
        for i, (f, m) in enumerate(zip(self.female, self.male, strict=True)):
            name = f"{self.qualities[i]:g} to {self.qualities[i + 1]:g}"
            wrong = float(f @ right / max(f.sum(), 1)), float(m @ (1 - right) / max(m.sum(), 1))
            rows.append((name, int(f.sum()), wrong[0], int(m.sum()), wrong[1]))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The record for the JSON file."""
        return {
            "format": _FORMAT,
            "model": self.model,
            "sha256": self.sha256,
            "detector": self.detector,
            "source": self.source,
            "scores": list(self.scores),
            "qualities": list(self.qualities),
            "female": self.female.tolist(),
            "male": self.male.tolist(),
            "not_found": list(self.not_found),
            "command": self.command,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ErrorRates:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError where it is something else."""
        if record["format"] != _FORMAT:
            raise ValueError(f"format {record['format']} is not {_FORMAT}")
        women, men = record["not_found"]
        return cls(
            **{key: str(record[key]) for key in ("model", "sha256", "detector", "source", "command")},
            scores=tuple(map(float, record["scores"])),
            qualities=tuple(map(float, record["qualities"])),
            female=np.array(record["female"], np.int64),
            male=np.array(record["male"], np.int64),
            not_found=(int(women), int(men)),
        )

    def save(self, path: Path) -> None:
        """Write the JSON file; OutputError where that fails."""
        record = self.to_dict()
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
        with atomic_file(path) as temporary:
            temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def load_rates(path: Path) -> ErrorRates:
    """Read a file of error rates.

    Raises:
        InputError: it is absent or is something else.
    """
    try:
        return ErrorRates.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} holds no error rates: {error}", remedy="give NAME.errors.json") from error


def shipped_rates(collection: Collection) -> ErrorRates:
    """The error rates of the classifier that made the results, which lie beside its weights in this package.

    Raises:
        InputError: it is not known which it was, or its rates are not known.
    """
    remedy = "label a sample and pass --labelled, or pass --rates FILE"
    if collection.model is None:
        raise InputError("no .run.json beside the results says which model made them", remedy=remedy)
    name, digest = collection.model
    for known in weights.names():
        path = weights.weight_path(known).with_suffix(_SUFFIX)
        if path.is_file() and (rates := load_rates(path)).sha256 == digest:
            return rates
    raise InputError(f"the error rates of the model {name} ({digest[:8]}) are not known", remedy=remedy)


def measure_rates(collection: Collection, labels: Path, *, source: str, command: str) -> ErrorRates:
    """Count the scores of faces whose gender is known, in the bins that their number allows.

    Args:
        collection: results of the photos, and perhaps of more.
        labels: CSV, see `facegender.survey.labels.read_labels`.
        source: the faces, in words.
        command: what measures.

    Raises:
        InputError: the labels cannot be read, are of photos without results, or of too few women or men.
    """
    known = read_labels(labels, collection)
    name, digest = collection.model or ("", "")
    faces = collection.faces.iloc[known.rows]
    return count_rates(
        faces["quality"].to_numpy(),
        faces["p_male"].to_numpy(),
        known.labels,
        model=name,
        sha256=digest,
        detector=",".join(sorted(collection.detectors)),
        source=source,
        not_found=known.not_found,
        command=command,
    )


def count_rates(
    quality: FloatArray,
    p_male: FloatArray,
    labels: IntArray,
    *,
    model: str = "",
    sha256: str = "",
    detector: str = "",
    source: str = "",
    not_found: tuple[int, int] = (0, 0),
    command: str = "",
) -> ErrorRates:
    """Error rates from N faces, in the bins that their number allows; `labels` are 0 female, 1 male."""
    scores = COARSE_SCORES if np.bincount(labels, minlength=2).min() < _FEW else SCORES
    shape = len(QUALITIES) - 1, len(scores) - 1
    nothing = np.zeros(shape, np.int64)
    rates = ErrorRates(model, sha256, detector, source, scores, QUALITIES, nothing, nothing, not_found, command)
    cells = rates.cells(quality, p_male)
    women, men = (np.bincount(cells[labels == label], minlength=nothing.size).reshape(shape) for label in (0, 1))
    return replace(rates, female=women, male=men).joined()
