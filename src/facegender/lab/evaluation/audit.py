"""How a network does on every group of faces, and on which it does worst.

Groups are by gender, by each column that tells of the faces, by each with gender, and by all of them together.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError
from facegender.files import write_text
from facegender.lab.datasets.store import LABELS, Store
from facegender.lab.evaluation.metrics import (
    FloatArray,
    IntArray,
    accuracy_interval,
    brier_score,
    expected_calibration_error,
    is_answered,
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
    table = {GENDER: [LABELS[label] for label in faces.labels.tolist()], **faces.groups}
    columns = list(faces.groups)
    groupings: list[tuple[str, ...]] = [(), *((column,) for column in table)]
    groupings += [(column, GENDER) for column in columns]
    if len(columns) > 1:
        groupings.append((*columns, GENDER))
    sure = is_answered(faces.p_male, confidence)
    by = {grouping: _cells(faces, table, grouping, sure) for grouping in groupings}
    cells = [cell for some in by.values() for cell in some]
    counted = [cell for cell in cells if not cell.few and cell.columns != EVERYONE] or cells
    return Audit(
        model=model,
        dataset=faces.name,
        confidence=confidence,
        cells=cells,
        worst=min(counted, key=badness),
        gaps={column: gap for column in table if (gap := _gap(by[column,]))},
        not_found=[each for column, found in table.items() for each in _not_found(column, found, faces.missed)],
    )


def _cells(
    faces: AuditedFaces, table: Mapping[str, Sequence[str]], grouping: tuple[str, ...], sure: npt.NDArray[np.bool_]
) -> list[AuditGroup]:
    """One cell for each combination of values that has faces, in their order."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for face in range(len(faces.labels)):
        groups[tuple(table[column][face] for column in grouping)].append(face)
    ordered = sorted(groups.items(), key=lambda group: [rank(value) for value in group[0]])
    return [_cell(faces, dict(zip(grouping, values, strict=True)), who, sure[who]) for values, who in ordered]


def _cell(faces: AuditedFaces, values: Mapping[str, str], who: list[int], sure: npt.NDArray[np.bool_]) -> AuditGroup:
    labels, p_male = faces.labels[who], faces.p_male[who]
    right = is_right(labels, p_male)
    low, high = accuracy_interval(right, [faces.people[i] for i in who] if faces.people else ())
    return AuditGroup(
        columns=_TIMES.join(values) or EVERYONE,
        values=_TIMES.join(values.values()) or EVERYONE,
        count=len(who),
        accuracy=float(right.mean()),
        low=low,
        high=high,
        tpr=_mean(p_male[labels == 1] >= 0.5),
        fpr=_mean(p_male[labels == 0] >= 0.5),
        ece=None if GENDER in values else expected_calibration_error(labels, p_male),
        brier=brier_score(labels, p_male),
        mean_p_male=float(p_male.mean()),
        coverage=float(sure.mean()),
        error=_mean(~right[sure]),
        children=is_child(values.get("age", "")),
        few=len(who) < FEW,
    )


def _mean(values: npt.NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _gap(cells: Sequence[AuditGroup]) -> dict[str, Any]:
    """Difference and ratio of accuracy between the best and the worst value of a column; empty for one value."""
    counted = sorted((cell for cell in cells if not cell.few), key=lambda cell: cell.values)
    if len(counted) < 2:
        return {}
    worst, best = (end(counted, key=lambda cell: cell.accuracy) for end in (min, max))
    return {
        "difference": round(best.accuracy - worst.accuracy, 5),
        "ratio": round(worst.accuracy / best.accuracy, 5) if best.accuracy else float("nan"),
        "worst": worst.values,
        "best": best.values,
    }


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


def _plain(cell: AuditGroup) -> dict[str, Any]:
    marks = {name: "yes" if getattr(cell, name) else "" for name in ("children", "few")}
    return rounded(vars(cell)) | marks
