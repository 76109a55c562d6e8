"""YuNet through OpenCV: a teacher and a yardstick, not part of what ships."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facegender.errors import WeightsError
from facegender.faces.anchors import FaceRows
from facegender.faces.merging import SAME_FACE
from facegender.faces.types import Image
from facegender.inference.detector import PyramidDetector


class YuNetDetector(PyramidDetector):
    """YuNet through OpenCV, for those who have its ONNX file.

    W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.

    Args:
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
        self._path = path = Path(model)
        if not path.is_file():
            raise WeightsError(f"no such weight file: {path}", remedy="YuNet's ONNX file is in OpenCV's model zoo")
        try:
            with _opencv_silent():
                self._net: Any = cv2.FaceDetectorYN.create(str(path), "", (320, 320), self.min_score, SAME_FACE, 5000)
                self._net.detect(np.zeros((320, 320, 3), np.uint8))  # other networks fail only now
        except cv2.error as error:
            raise WeightsError(f"{path} cannot be loaded as YuNet: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes, which open the file themselves."""
        return partial(type(self), self._path, min_face=self.min_face, min_score=self.min_score), ()

    @property
    def identity(self) -> dict[str, str]:
        """Its name and sha256, to be written beside results."""
        return {"name": "yunet", "sha256": hashlib.sha256(self._path.read_bytes()).hexdigest()}

    def detect_rows(self, images: Sequence[Image]) -> list[FaceRows]:
        """What YuNet finds in each image."""
        return [self._detect_in(image) for image in images]

    def _detect_in(self, image: Image) -> FaceRows:
        self._net.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._net.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return np.zeros((0, 15), np.float32) if rows is None else rows.astype(np.float32)


@contextmanager
def _opencv_silent() -> Iterator[None]:
    """Keep OpenCV from writing to standard error: its exceptions say all, and it warns of an unused backend."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
