"""How a detector compares with its teacher, photo by photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facegender.faces.anchors import FaceRows, overlaps
from facegender.faces.types import Face

#: Boxes that overlap this much (intersection over union) may be the same face.
SAME = 0.5
#: The teacher's confident faces must be found; whatever is found must at least be suspected by the teacher.
CONFIDENT, SUSPECTED = 0.8, 0.3
#: Sides of faces in pixels, sqrt(width * height), that are counted apart.
SIZES = ((0.0, 16.0), (16.0, 32.0), (32.0, np.inf))


@dataclass
class Comparison:
    """Counts over the photos seen so far; each face of one detector is at most one of the other's.

    Attributes:
        photos: how many.
        wanted, found: the teacher's confident faces, and those of them that the detector has too, for each of `SIZES`.
        answers: scores of all faces that the detector gave.
        right: for each of them, whether it is a face that the teacher at least suspects, and no second one of it.
        landmark_errors: mean distance of the five landmarks / the teacher's inter-eye distance, of faces of 16
            pixels or more that both found.
        empty: photos in which the teacher suspects no face; `false_scores`: scores of the faces found in them.
    """

    photos: int = 0
    wanted: list[int] = field(default_factory=lambda: [0] * len(SIZES))
    found: list[int] = field(default_factory=lambda: [0] * len(SIZES))
    answers: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    landmark_errors: list[float] = field(default_factory=list)
    empty: int = 0
    false_scores: list[float] = field(default_factory=list)

    def add(self, faces: FaceRows, teacher: FaceRows) -> list[bool]:
        """Count one photo.

        Args:
            faces: float32, N x 15, of the detector.
            teacher: float32, M x 15, score `SUSPECTED` and above.

        Returns:
            for each of the teacher's confident faces, in its order, whether it was found.
        """
        self.photos += 1
        ours = _matches(faces, teacher)
        self.answers += faces[:, 14].tolist()
        self.right += [number in ours.values() for number in range(len(faces))]
        if not len(teacher):
            self.empty += 1
            self.false_scores += faces[:, 14].tolist()
        found = []
        for number in np.flatnonzero(teacher[:, 14] >= CONFIDENT).tolist():
            face = teacher[number]
            side = float(np.sqrt(face[2] * face[3]))
            size = next(i for i, (low, high) in enumerate(SIZES) if low <= side < high)
            self.wanted[size] += 1
            self.found[size] += number in ours
            found.append(number in ours)
            if number in ours and size > 0:
                self.landmark_errors.append(landmark_error(faces[ours[number]], face))
        return found

    def recall(self, size: int) -> float:
        """Share of the teacher's confident faces of one of `SIZES` that were found; NaN where there are none."""
        return self.found[size] / self.wanted[size] if self.wanted[size] else float("nan")

    def precision(self, min_score: float = 0.0) -> float:
        """Share of the faces of at least this score where the teacher suspects one too; NaN where there are none."""
        matches = [right for score, right in zip(self.answers, self.right, strict=True) if score >= min_score]
        return sum(matches) / len(matches) if matches else float("nan")

    def false_per_100(self, min_score: float = 0.0) -> float:
        """Faces found per 100 photos in which the teacher suspects none; NaN where there is no such photo."""
        return 100 * sum(score >= min_score for score in self.false_scores) / self.empty if self.empty else float("nan")

    def median_landmark_error(self) -> float:
        """Median over faces; NaN where there are none."""
        return float(np.median(self.landmark_errors)) if self.landmark_errors else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """The figures, for a card."""
        figures = {
            "photos": self.photos,
            "faces": sum(self.wanted),
            "recall_16_to_32_px": self.recall(1),
            "recall_from_32_px": self.recall(2),
            "precision": self.precision(),
            "false_faces_per_100_empty_photos": self.false_per_100(),
            "median_landmark_error": self.median_landmark_error(),
        }
        return {k: round(v, 4) if np.isfinite(v) else None for k, v in figures.items()}


def _matches(faces: FaceRows, teacher: FaceRows) -> dict[int, int]:
    """The teacher's faces that were found, to the face that each is: the surest of `faces` takes its nearest first."""
    table = np.array([overlaps(face[:4], teacher[:, :4]) for face in faces]).reshape(len(faces), len(teacher))
    found: dict[int, int] = {}
    # Of equal scores the nearer one goes first.
    for number in np.lexsort((-table.max(1, initial=0), -faces[:, 14])).tolist():
        free = [other for other in np.flatnonzero(table[number] >= SAME).tolist() if other not in found]
        if free:
            found[max(free, key=lambda other: float(table[number, other]))] = number
    return found


def landmark_error(face: FaceRows, teacher: FaceRows) -> float:
    """Mean distance of the five landmarks of two faces (15 values each), in the second one's inter-eye distances."""
    ours, theirs = face[4:14].reshape(5, 2), teacher[4:14].reshape(5, 2)
    away: npt.NDArray[Any] = np.linalg.norm(ours - theirs, axis=1)
    return float(away.mean() / max(float(np.linalg.norm(theirs[0] - theirs[1])), 1e-6))


def as_rows(faces: Sequence[Face]) -> FaceRows:
    """Faces as float32, N x 15."""
    rows = [(*face.box, *(v for point in face.landmarks for v in point), face.score) for face in faces]
    return np.array(rows, np.float32).reshape(-1, 15)
