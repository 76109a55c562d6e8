"""Each face once, of the many detections that a network makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facegender.faces.anchors import FaceRows, overlaps
from facegender.faces.types import Face

#: Of two boxes that overlap more (intersection over union), the one with the lower score goes.
SAME_FACE = 0.4
#: The places of boxes that overlap at least this much are averaged.
BLENDED = 0.5
#: Landmarks are rounded to this fraction of a pixel. The last bits of the network's arithmetic differ from one
#: processor and runtime to the next; unrounded, they would change pixels of the crop, and so the classifier's answer.
PARTS_OF_PIXEL = 32
#: Faces that are found only after a photo is turned count from this score on, unless they replace a less sure one.
TURNED = 0.8


def merged(rows: FaceRows, turned: int) -> list[Face]:
    """Each face once, of those found in one way up.

    Args:
        rows: as `facegender.faces.anchors.decode_faces` gives them.
        turned: the way up, in degrees clockwise.
    """
    if not len(rows):
        return []
    points = rows[:, 4:14].reshape(-1, 5, 2)
    # A crop cannot be cut where the landmarks are all one point.
    sound = np.isfinite(rows).all(1) & (rows[:, 2:4] > 0).all(1) & (np.ptp(points, axis=1) > 0).any(1)
    rows = rows[sound]
    # The least score has been passed already.
    indices = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), 0.0, SAME_FACE)
    faces = []
    for index in indices:
        x, y, width, height, *places, score = _blended(rows[index], rows).tolist()
        one, two, three, four, five = zip(places[::2], places[1::2], strict=True)
        faces.append(Face((x, y, width, height), (one, two, three, four, five), min(max(score, 0.0), 1.0), turned))
    return faces


def with_turned(upright: Sequence[Face], turned: Sequence[Face]) -> list[Face]:
    """All faces of a photo, of those found upright and those found after it was turned."""
    boxes = np.array([face.box for face in upright], np.float32).reshape(-1, 4)

    def counts(face: Face) -> bool:
        return face.score >= TURNED or bool((overlaps(np.array(face.box, np.float32), boxes) > SAME_FACE).any())

    return each_once([*upright, *filter(counts, turned)])


def each_once(faces: Sequence[Face]) -> list[Face]:
    """Of faces found in several ways up, each in the one where its score is highest; largest first."""
    unique: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        boxes = np.array([other.box for other in unique if other.turned != face.turned], np.float32).reshape(-1, 4)
        if not (overlaps(np.array(face.box, np.float32), boxes) > SAME_FACE).any():
            unique.append(face)
    return sorted(unique, key=lambda face: (face.box[2] * face.box[3], face.score), reverse=True)


def _blended(row: FaceRows, rows: FaceRows) -> FaceRows:
    """A row with place and landmarks averaged over all detections of the same face; steadier than any one of them.

    V. Bazarevsky et al., "BlazeFace", arXiv:1907.05047, 2019, section 3.4.
    """
    same = rows[overlaps(row[:4], rows[:, :4]) >= BLENDED]
    weights = same[:, 14:] ** 2
    places = (same[:, :14] * weights).sum(0) / weights.sum()
    places[4:] = np.rint(places[4:] * PARTS_OF_PIXEL) / PARTS_OF_PIXEL
    return np.append(places, row[14])
