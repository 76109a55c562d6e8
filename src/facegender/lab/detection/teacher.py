"""The teacher: YuNet, and the faces that it finds in a photo at several sizes and mirrored.

W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facegender.errors import WeightsError
from facegender.faces.cells import VALUES, FaceRows, overlaps
from facegender.faces.pyramid import resized
from facegender.faces.types import Image
from facegender.inference.detector import SAME_FACE, PyramidDetector

#: The same five landmarks seen in a mirror.
MIRRORED = (1, 0, 2, 4, 3)

#: Sizes of the photo that are looked at, and whether mirrored.
_VIEWS = ((1.0, False), (1.0, True), (2.0, False), (0.5, False))
#: Below it the teacher's answers are noise.
_FAINT = 0.3
#: A face is sure if one view gives it this score and another sees it too; else it is neither face nor background.
_SURE = 0.7


class YuNetDetector(PyramidDetector):
    """YuNet through OpenCV, for those who have its ONNX file.

    W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.

    Args:
        model: the ONNX file.
        min_face, min_score: as for `PyramidDetector`; None takes `MIN_SCORE`.

    Raises:
        WeightsError: the file is absent or not YuNet.
        InputError: a number out of range.
    """

    #: Side in pixels from which it finds faces reliably.
    SMALLEST_FACE = 16
    MIN_SCORE = 0.6

    def __init__(self, model: str | Path, *, min_face: int | None = None, min_score: float | None = None) -> None:
        super().__init__(self.SMALLEST_FACE, min_face, self.MIN_SCORE if min_score is None else min_score)
        path = Path(model)
        if not path.is_file():
            raise WeightsError(f"no such weight file: {path}", remedy="YuNet's ONNX file is in OpenCV's model zoo")
        try:
            with _opencv_silent():
                self._net: Any = cv2.FaceDetectorYN.create(str(path), "", (320, 320), self.min_score, SAME_FACE, 5000)
                self._net.detect(np.zeros((320, 320, 3), np.uint8))  # other networks fail only now
        except cv2.error as error:
            raise WeightsError(f"{path} cannot be loaded as YuNet: {error}") from error

    def look(self, images: Sequence[Image]) -> list[FaceRows]:
        """What YuNet finds in each image."""
        return [self._look_at(image) for image in images]

    def _look_at(self, image: Image) -> FaceRows:
        self._net.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._net.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return np.zeros((0, 15), np.float32) if rows is None else rows.astype(np.float32)


@contextmanager
def _opencv_silent() -> Iterator[None]:
    """Keep OpenCV from writing to standard error: its exceptions say all, and it remarks on a backend nobody chose."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


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
    """YuNet through OpenCV.

    Args:
        model: its ONNX file.

    Raises:
        WeightsError: the file is absent or not YuNet.
    """

    def __init__(self, model: Path) -> None:
        self._yunet = YuNetDetector(model, min_score=_FAINT)

    def look(self, image: Image) -> FaceRows:
        """The faces of one photo as it is, score 0.3 and above."""
        (rows,) = self._yunet.look([image])
        return rows

    def label(self, image: Image) -> Labels:
        """What several views of one photo agree on."""
        height, width = image.shape[:2]
        seen = [np.zeros((0, VALUES + 1), np.float32)]  # the smallest photos have no view
        for view, (scale, mirrored) in enumerate(_VIEWS):
            looked = resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
            if min(looked.shape[:2]) < 16:
                continue
            faces = self.look(looked[:, ::-1] if mirrored else looked)
            faces[:, :14:2] *= width / looked.shape[1]
            faces[:, 1:14:2] *= height / looked.shape[0]
            if mirrored:
                faces = mirror(faces, width)
            seen.append(np.column_stack([faces, np.full(len(faces), view, np.float32)]))
        return _agree(np.concatenate(seen))


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
    empty = np.zeros((0, VALUES), np.float32)
    return Labels(
        np.stack(faces).astype(np.float32) if faces else empty, np.stack(unsure).astype(np.float32) if unsure else empty
    )
