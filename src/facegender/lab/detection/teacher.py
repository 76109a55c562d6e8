"""The teachers of the face detector: YuNet says where faces are, dlib's 68 points where their landmarks are.

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.
V. Kazemi, J. Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees", CVPR 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facegender.errors import DatasetError
from facegender.faces.anchors import VALUES, FaceRows, overlaps
from facegender.faces.pyramid import resized
from facegender.faces.types import Image
from facegender.lab.detection.yunet import YuNetDetector

#: Float64, N x 2, x and y in pixels.
Points = npt.NDArray[np.float64]

#: The same five landmarks seen in a mirror.
MIRRORED = (1, 0, 2, 4, 3)

#: Sizes of the photo that are searched, and whether mirrored. Photos whose faces are all large need no enlarging.
_VIEWS = ((1.0, False), (1.0, True), (0.5, False), (2.0, False))
_LARGE_FACE = 80.0
#: Below it the teacher's answers are noise.
_FAINT = 0.3
#: A face is sure if one view gives it this score and another sees it too; else it is neither face nor background.
_SURE = 0.7

#: Sides in pixels at which an enlarged face is searched again for its landmarks, each also mirrored.
_ENLARGED = (200.0, 260.0)
#: The crop around an enlarged face, in sides of the face.
_AROUND = 2.2
#: Looks at one face may differ by this much, in widths of the face, to be averaged.
_CONSISTENT = 0.08
#: dlib's points are taken where their mean distance from YuNet's is below this, in inter-eye distances or
#: distances of eyes and mouth, whichever is longer. They stray on profiles.
_SAME_POINTS = 0.2
#: Side of the square that dlib's predictor starts from, in the same unit, and how far it is moved each time.
_SQUARE, _SHIFTS = 2.25, ((0.0, 0.0), (0.08, 0.05), (-0.08, 0.05), (0.0, -0.08))


@dataclass(frozen=True)
class Labels:
    """The faces of one photo.

    Attributes:
        faces: float32, N x 15, what to learn: mean of the views.
        unsure: float32, M x 15, seen faintly or in one view only: not to be learned either way.
    """

    faces: FaceRows
    unsure: FaceRows


class Teacher:
    """YuNet through OpenCV and, if its file is given, dlib's landmarks.

    Args:
        shape: dlib's 68-point shape predictor; None leaves landmarks to YuNet.

    Raises:
        WeightsError: the ONNX file is absent or not YuNet.
        DatasetError: the shape predictor is absent, or dlib is not installed. `label` raises it where the predictor has
            another number of points than 68.
    """

    def __init__(self, model: Path, shape: Path | None = None) -> None:
        self._yunet = YuNetDetector(model, min_score=_FAINT)
        self._shape = None if shape is None else _ShapePredictor(shape)

    def detect_rows(self, image: Image) -> FaceRows:
        """The faces of one photo as it is, score 0.3 and above."""
        (rows,) = self._yunet.detect_rows([image])
        return rows

    def label(self, image: Image, annotated: Points | None = None) -> Labels:
        """What several views of one photo agree on, with landmarks from enlarged looks at each face.

        Args:
            image: uint8, H x W x 3, RGB.
            annotated: five landmarks that people set on one of the faces, 5 x 2; they replace the teacher's.
        """
        height, width = image.shape[:2]
        seen = np.zeros((0, VALUES + 1), np.float32)
        for view, (scale, mirrored) in enumerate(_VIEWS):
            if scale > 1 and len(seen) and np.sqrt(seen[:, 2] * seen[:, 3]).min() > _LARGE_FACE:
                continue
            looked = resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
            if min(looked.shape[:2]) < 16:
                continue
            faces = self.detect_rows(looked[:, ::-1] if mirrored else looked)
            faces[:, :14:2] *= width / looked.shape[1]
            faces[:, 1:14:2] *= height / looked.shape[0]
            if mirrored:
                faces = mirror(faces, width)
            seen = np.concatenate([seen, np.column_stack([faces, np.full(len(faces), view, np.float32)])])
        labels = _agree(seen)
        for face in labels.faces:
            face[4:14] = self._landmarks(image, face).reshape(10)
        if annotated is not None:
            _replace(labels.faces, annotated)
        return labels

    def _landmarks(self, image: Image, face: FaceRows) -> Points:
        """The five landmarks of one face, from enlarged looks at it; those of `face` where the looks disagree."""
        points, side = face[4:14].reshape(5, 2).astype(np.float64), float(np.sqrt(face[2] * face[3]))
        if self._shape is not None:
            enlarged, matrix = _enlarged(image, face, _ENLARGED[0] / side)
            started = points * matrix[0, 0] + matrix[:, 2]
            theirs: Points = (self._shape.five(enlarged, started) - matrix[:, 2]) / matrix[0, 0]
            if np.linalg.norm(theirs - points, axis=1).mean() < _SAME_POINTS * _unit(points):
                return theirs
        detections = []
        for target in _ENLARGED:
            enlarged, matrix = _enlarged(image, face, target / side)
            for mirrored in (False, True):
                rows = self.detect_rows(np.ascontiguousarray(enlarged[:, ::-1]) if mirrored else enlarged)
                if mirrored:
                    rows = mirror(rows, enlarged.shape[1])
                if len(rows):
                    found = (rows[:, 4:14].reshape(-1, 5, 2) - matrix[:, 2]) / matrix[0, 0]
                    away = np.linalg.norm(found - points, axis=2).mean(1)
                    if away.min() < 2 * _CONSISTENT * side:
                        detections.append(found[away.argmin()])
        if detections:
            middle = np.median(detections, axis=0)
            near = [each for each in detections if np.linalg.norm(each - middle, axis=1).mean() < _CONSISTENT * side]
            if len(near) > 1:
                points = np.mean(near, axis=0)
        return points


class _ShapePredictor:
    """dlib's 68 points as five."""

    def __init__(self, path: Path) -> None:
        try:
            import dlib
        except ImportError as error:
            raise DatasetError("dlib's landmarks need the package dlib", remedy="pip install dlib-bin") from error
        self._dlib: Any = dlib
        try:
            self._predictor = dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise DatasetError(f"{path} cannot be read as a shape predictor: {error}") from error

    def five(self, image: Image, points: Points) -> Points:
        """The mean over a few squares around five landmarks, as they are and mirrored."""
        found = []
        width = image.shape[1]
        flipped = np.ascontiguousarray(image[:, ::-1])
        eyes, mouth = points[:2].mean(0), points[3:].mean(0)
        middle, unit = (eyes + mouth) / 2, _unit(points)
        for shift in _SHIFTS:
            centre = middle + np.array(shift) * unit
            found.append(self._at(image, centre, unit))
            mirrored = self._at(flipped, np.array([width - centre[0], centre[1]]), unit)[list(MIRRORED)]
            mirrored[:, 0] = width - mirrored[:, 0]
            found.append(mirrored)
        mean: Points = np.mean(found, axis=0)
        return mean

    def _at(self, image: Image, centre: Points, unit: float) -> Points:
        low, high = centre - _SQUARE / 2 * unit, centre + _SQUARE / 2 * unit
        square = self._dlib.rectangle(*(round(float(v)) for v in (*low, *high)))
        parts = self._predictor(image, square).parts()
        return five_of_68(np.array([(part.x, part.y) for part in parts], np.float64))


def five_of_68(points: Points) -> Points:
    """Eye centres, nose tip and mouth corners of the 68 points of 300-W: 5 x 2.

    C. Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV Workshops 2013.
    """
    if points.shape != (68, 2):
        raise DatasetError(f"{points.shape} landmarks where there should be 68 of two numbers")
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


def read_pts(path: Path) -> Points:
    """Five landmarks from a file of 68 lines of x and y: 5 x 2.

    Raises:
        DatasetError: another number of lines, or lines that are no two numbers.
    """
    lines = [line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines()]
    try:
        rows = [(float(x), float(y)) for x, y in (line for line in lines if line)]
    except ValueError as error:
        raise DatasetError(f"{path} has a line that is not two numbers") from error
    return five_of_68(np.array(rows, np.float64).reshape(-1, 2))


def _enlarged(image: Image, face: FaceRows, scale: float) -> tuple[Image, Points]:
    """A square around a face at another scale, and the 2 x 3 matrix that leads from photo to square."""
    side = float(np.sqrt(face[2] * face[3])) * scale
    size = max(32, round(_AROUND * side))
    centre = face[:2] + face[2:4] / 2
    matrix = np.array([[scale, 0, size / 2 - centre[0] * scale], [0, scale, size / 2 - centre[1] * scale]])
    centred = matrix.copy()
    centred[:, 2] += 0.5 * scale - 0.5  # OpenCV counts from pixel centres
    if scale < 0.75:
        small = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        ratio = np.array([small[0] / image.shape[1], small[1] / image.shape[0]])
        centred = np.column_stack([np.diag(scale / ratio), matrix[:, 2] + 0.5 * scale / ratio - 0.5])
        return cv2.warpAffine(shrunk, centred, (size, size), flags=cv2.INTER_LINEAR), matrix
    return cv2.warpAffine(image, centred, (size, size), flags=cv2.INTER_CUBIC), matrix


def _unit(points: Points) -> float:
    """Distance of the eyes, or of eyes and mouth where it is longer: what a turned head leaves."""
    eyes = float(np.linalg.norm(points[0] - points[1]))
    return max(eyes, float(np.linalg.norm(points[:2].mean(0) - points[3:].mean(0))))


def _replace(faces: FaceRows, annotated: Points) -> None:
    """Give the annotated landmarks to the face that has them, in place."""
    if len(faces):
        away = np.linalg.norm(faces[:, 4:14].reshape(-1, 5, 2) - annotated, axis=2).mean(1)
        if away.min() < 0.5 * _unit(annotated):
            faces[away.argmin(), 4:14] = annotated.reshape(10)


def mirror(faces: FaceRows, width: float) -> FaceRows:
    """The faces of the mirrored photo."""
    out = faces.copy()
    out[:, 0] = width - faces[:, 0] - faces[:, 2]
    points = faces[:, 4:14].reshape(-1, 5, 2)[:, MIRRORED]
    points = np.stack([width - points[..., 0], points[..., 1]], axis=-1)
    out[:, 4:14] = points.reshape(-1, 10)
    return out


def _agree(seen: FaceRows) -> Labels:
    faces: list[FaceRows] = []
    unsure: list[FaceRows] = []
    left = seen[np.argsort(-seen[:, 14])]
    while len(left):
        same = overlaps(left[0, :4], left[:, :4]) >= 0.5
        members, left = left[same], left[~same]
        weights = members[:, 14] ** 2
        mean = (members[:, :VALUES] * weights[:, None]).sum(0) / weights.sum()
        mean[14] = members[0, 14]
        sure = mean[14] >= _SURE and len(set(members[:, VALUES].tolist())) > 1
        (faces if sure else unsure).append(mean)
    return Labels(*(np.array(rows, np.float32).reshape(-1, VALUES) for rows in (faces, unsure)))
