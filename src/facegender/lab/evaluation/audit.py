"""How a network does on every group of faces, and on which it does worst.

The grouping is fairlearn's `MetricFrame` (S. Bird et al., "Fairlearn", Microsoft MSR-TR-2020-32): gender, each column
that tells of the faces, each with gender, and all of them together.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame

from facegender.errors import InputError
from facegender.files import write_text
from facegender.lab.datasets.store import LABELS, Store
from facegender.lab.evaluation.calibration import is_answered
from facegender.lab.evaluation.metrics import (
    FloatArray,
    IntArray,
    accuracy_interval,
    brier_score,
    expected_calibration_error,
    is_right,
)
from facegender.lab.evaluation.subgroups import EVERYONE, FEW, grouped, grouping_attributes, rank, value_of
from facegender.tables import rounded, write_csv

#: The name of the label among the grouping columns.
GENDER = "gender"
#: A face younger than this is a child's.
ADULT = 18
#: Joins the columns, and the values, of one cell.
_TIMES = " x "


@dataclass(frozen=True)
class AuditedFaces:
    """Answered faces and their attributes.

    Attributes:
        name: of the dataset.
        labels: int64, N; 0 female, 1 male.
        p_male: float, N.
        groups: N words by column, such as race or age; ages in years gathered into bands.
        missed: gender and attributes of each face that the detector did not find and that was therefore not answered.
        people: N names, "" where unknown; none where no person is named.
    """

    name: str
    labels: IntArray
    p_male: FloatArray
    groups: Mapping[str, Sequence[str]]
    missed: Sequence[Mapping[str, str]] = ()
    people: Sequence[str] = ()

    @classmethod
    def of(cls, store: Store, index: IntArray, p_male: FloatArray, columns: Sequence[str] = ()) -> AuditedFaces:
        """The answers to the crops `index` of a store, and the faces not found in the splits of these crops.

        Args:
            index: int64, N.
            p_male: float, N.
            columns: attributes of the store to group by; none: all of at most 30 values.

        Raises:
            InputError: the store has no such attribute.
        """
        groups = {name: grouped(store, index, name) for name in columns or grouping_attributes(store)}
        people = [store.identities[i] for i in index.tolist()]
        splits = {store.splits[i] for i in index.tolist()}
        missed = [{**face, GENDER: face["label"]} for face in store.not_found if face["split"] in splits]
        return cls(store.name, store.labels[index], np.asarray(p_male, np.float64), groups, missed, people)


@dataclass(frozen=True)
class AuditGroup:
    """The measures of one group of faces; rates in [0, 1].

    Attributes:
        columns: what it is grouped by, such as ``race x gender``; ``all`` for everyone.
        values: of these columns.
        count: faces.
        accuracy: share of right answers; `low` and `high` bound its 95 % interval, of people where they are named.
        tpr: share of the men called male; None without men.
        fpr: share of the women called male; None without women.
        ece: expected calibration error, 15 equal-width bins of p_male; None in a cell of one gender, where any
            probability but 0 or 1 would be wrong.
        brier: mean squared difference of p_male and the label.
        mean_p_male: mean probability; its difference from the share of men is the bias of a count of probabilities.
        coverage: share that is answered at the least confidence asked for.
        error: share of wrong answers among those; None where nothing is answered.
        children: whether its ages are children's; the band 10-19 counts too, so faces of 18 and 19 years are in it.
        few: fewer than 30 faces: the numbers say little.
    """

    columns: str
    values: str
    count: int
    accuracy: float
    low: float
    high: float
    tpr: float | None
    fpr: float | None
    ece: float | None
    brier: float
    mean_p_male: float
    coverage: float
    error: float | None
    children: bool
    few: bool


@dataclass(frozen=True)
class NotFound:
    """Faces of one value of one column that the detector did not find.

    Attributes:
        column, value: such as ``race`` and ``Indian``.
        count: of those faces.
        all: faces of this value, found or not.
    """

    column: str
    value: str
    count: int
    all: int


@dataclass(frozen=True)
class Audit:
    """All cells of one dataset, and what stands out.

    Attributes:
        model, dataset: audited.
        confidence: the least confidence at which faces count as answered.
        cells: everyone first, then by column, then with gender, then all columns at once.
        worst: the cell whose interval ends lowest, so that no small cell is the worst by chance, among those of at
            least 30 faces, or among all where none has 30; of equals, the larger one.
        gaps: largest difference of accuracy between two values of a column (of at least 30 faces each), and the
            ratio of the lower to the higher; by column.
        not_found: faces that the detector did not find, by gender and by each column; values without any are absent.
    """

    model: str
    dataset: str
    confidence: float
    cells: Sequence[AuditGroup]
    worst: AuditGroup
    gaps: Mapping[str, Mapping[str, Any]]
    not_found: Sequence[NotFound]

    def by(self, columns: str) -> list[AuditGroup]:
        """The cells of one grouping, in the order of its values."""
        return [cell for cell in self.cells if cell.columns == columns]

    @property
    def groupings(self) -> list[str]:
        """What cells are grouped by, once each, in order."""
        return list(dict.fromkeys(cell.columns for cell in self.cells))


def audit_faces(model: str, faces: AuditedFaces, confidence: float) -> Audit:
    """Measure every group.

    Args:
        confidence: in [0.5, 1]; below it a face is not answered.

    Raises:
        InputError: there are no faces, or a column is named as the label is.
    """
    if not len(faces.labels):
        raise InputError(f"{faces.name} has no faces to audit")
    if GENDER in faces.groups:
        raise InputError(
            f"{faces.name} has a column named {GENDER!r}, which an audit has from the labels",
            remedy="rename it, or name the others with --by",
        )
    table = pd.DataFrame({GENDER: [LABELS[label] for label in faces.labels.tolist()], **faces.groups})
    frame = _Frame(faces, table, confidence)
    columns = list(faces.groups)
    groupings: list[tuple[str, ...]] = [(), (GENDER,)]
    groupings += [(column,) for column in columns]
    groupings += [(column, GENDER) for column in columns]
    if len(columns) > 1:
        groupings.append((*columns, GENDER))
    cells = [cell for grouping in groupings for cell in frame.cells(grouping)]
    counted = [cell for cell in cells if not cell.few and cell.columns != EVERYONE] or cells
    return Audit(
        model=model,
        dataset=faces.name,
        confidence=confidence,
        cells=cells,
        worst=min(counted, key=badness),
        gaps={column: gap for column in (GENDER, *columns) if (gap := frame.gap(column))},
        not_found=[each for column in (GENDER, *columns) for each in _not_found(column, table[column], faces.missed)],
    )


def _not_found(column: str, found: Iterable[str], missed: Sequence[Mapping[str, str]]) -> list[NotFound]:
    there = Counter(found)
    absent = Counter(value_of(column, face.get(column, "")) for face in missed)
    values = sorted(absent, key=rank)
    return [NotFound(column, value, absent[value], there[value] + absent[value]) for value in values]


def write_audit(folder: Path, audit: Audit, extra: Mapping[str, str] | None = None) -> None:
    """Write ``audit.csv``, a line a cell, and ``audit.json``, what stands out.

    Args:
        extra: further columns of the CSV, the same in every line, such as the command.

    Raises:
        OutputError: the folder cannot be written.
    """
    extra = dict(extra or {})
    of = {"model": audit.model, "dataset": audit.dataset}
    write_csv(folder / "audit.csv", [{**of, **_plain(cell), **extra} for cell in audit.cells])
    everyone = audit.cells[0]
    summary = {
        **of,
        "least_confidence": audit.confidence,
        "all": _plain(everyone),
        "gender": {cell.values: _plain(cell) for cell in audit.by(GENDER)},
        "worst": _plain(audit.worst),
        "worst_by": "upper end of the 95 % interval",
        "gaps": audit.gaps,
        "not_found": {label: 0 for label in LABELS} | {n.value: n.count for n in audit.not_found if n.column == GENDER},
        "not_found_by": [asdict(each) for each in audit.not_found if each.column != GENDER],
        **extra,
    }
    write_text(folder / "audit.json", json.dumps(summary, indent=2) + "\n")


def badness(cell: AuditGroup) -> tuple[float, int]:
    """By which cells are put in order, the worst first: the upper end of the interval; of equals, the larger one."""
    return cell.high, -cell.count


def is_child(band: str) -> bool:
    """Whether an age, or a band of ages such as ``10-19``, begins below 18 and ends below 20."""
    years = [int(number) for number in re.findall(r"\d+", band)]
    return bool(years) and years[0] < ADULT and years[-1] < 20 and "more" not in band


class _Frame:
    """The measures of faces by any of their columns."""

    def __init__(self, faces: AuditedFaces, table: pd.DataFrame, confidence: float) -> None:
        self._table, self._labels, self._p_male = table, faces.labels, faces.p_male
        right = is_right(faces.labels, faces.p_male)
        sure = is_answered(faces.p_male, confidence)
        self._right, self._people = right, faces.people
        #: Each takes the numbers of the faces of one group, since that is what `MetricFrame` is given to split.
        self._measures = {
            "count": lambda _, who: len(who),
            "accuracy": lambda _, who: float(right[who].mean()),
            "low": lambda _, who: self._interval(who)[0],
            "high": lambda _, who: self._interval(who)[1],
            "tpr": lambda y, who: _mean(self._male(who)[np.asarray(y) == 1]),
            "fpr": lambda y, who: _mean(self._male(who)[np.asarray(y) == 0]),
            "ece": lambda y, who: expected_calibration_error(np.asarray(y), self._p_male[who]),
            "brier": lambda y, who: brier_score(np.asarray(y), self._p_male[who]),
            "mean_p_male": lambda _, who: float(self._p_male[who].mean()),
            "coverage": lambda _, who: float(sure[who].mean()),
            "error": lambda _, who: _mean(~right[who][sure[who]]),
        }

    def cells(self, grouping: tuple[str, ...]) -> list[AuditGroup]:
        """One cell for each combination of values that has faces."""
        columns = [self._table[column] for column in grouping]
        keys = list(zip(*columns, strict=True)) if columns else [()] * len(self._labels)
        number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        # Numbered, since of several columns fairlearn measures every combination of values, also those without faces.
        groups = pd.Series([number[key] for key in keys], name="group")
        by_group = self._frame(self._measures, groups, np.ones(len(keys), bool)).by_group
        rows = [(key, by_group.loc[place]) for key, place in number.items()]
        return [self._cell(grouping, key, row) for key, row in sorted(rows, key=lambda row: [rank(v) for v in row[0]])]

    def gap(self, column: str) -> dict[str, Any]:
        """Difference and ratio of accuracy between the best and the worst value of a column; empty for one value."""
        counts = self._table[column].value_counts()
        mask = self._table[column].isin(counts[counts >= FEW].index).to_numpy()
        if self._table[column][mask].nunique() < 2:
            return {}
        frame = self._frame({"accuracy": self._measures["accuracy"]}, self._table[column].rename("group"), mask)
        by_group = frame.by_group["accuracy"]
        return {
            "difference": round(float(frame.difference()["accuracy"]), 5),
            "ratio": round(float(frame.ratio()["accuracy"]), 5),
            "worst": str(by_group.idxmin()),
            "best": str(by_group.idxmax()),
        }

    def _frame(self, measures: Mapping[str, Any], groups: pd.Series, mask: np.ndarray[Any, Any]) -> MetricFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas' own deprecations within fairlearn
            return MetricFrame(
                metrics=dict(measures),
                y_true=self._labels[mask],
                y_pred=np.flatnonzero(mask),
                sensitive_features=groups[mask],
            )

    def _cell(self, grouping: tuple[str, ...], values: tuple[str, ...], row: Mapping[str, Any]) -> AuditGroup:
        measured: dict[str, Any] = {name: _number(row[name]) for name in self._measures}
        if GENDER in grouping:
            measured["ece"] = None
        count = measured["count"] = int(row["count"])
        known = dict(zip(grouping, values, strict=True))
        return AuditGroup(
            columns=_TIMES.join(grouping) or EVERYONE,
            values=_TIMES.join(map(str, values)) or EVERYONE,
            **measured,
            children=is_child(str(known.get("age", ""))),
            few=count < FEW,
        )

    def _interval(self, who: IntArray) -> tuple[float, float]:
        return accuracy_interval(self._right[who], [self._people[i] for i in who.tolist()] if self._people else ())

    def _male(self, who: IntArray) -> np.ndarray[Any, Any]:
        return np.asarray(self._p_male[who] >= 0.5)


def _mean(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _plain(cell: AuditGroup) -> dict[str, Any]:
    marks = {name: "yes" if getattr(cell, name) else "" for name in ("children", "few")}
    return rounded(vars(cell)) | marks
