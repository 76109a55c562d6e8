"""The types that travel from a photo to a record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

#: ``uint8`` array, H x W x 3, RGB, EXIF orientation applied.
Image: TypeAlias = npt.NDArray[np.uint8]
#: ``uint8`` array, N x 64 x 64 x 3, RGB.
Crops: TypeAlias = npt.NDArray[np.uint8]

Label: TypeAlias = Literal["female", "male", "uncertain"]
Point: TypeAlias = tuple[float, float]

CROP_SIZE = 64


@dataclass(frozen=True, slots=True)
class Face:
    """A face found in an image.

    Attributes:
        box: x, y, width, height in pixels of the oriented image; may reach beyond its border.
        score: the detector's confidence; its scale belongs to the detector.
        landmarks: right eye, left eye, nose tip, right and left mouth corner (the subject's right,
            so the first is the leftmost in the image), or None where the detector has none.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[Point, Point, Point, Point, Point] | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.box) or self.box[2] <= 0 or self.box[3] <= 0:
            raise ValueError(f"a face box needs finite numbers and a positive size, not {self.box}")


@dataclass(frozen=True, slots=True)
class Prediction:
    """How a face is likely to be perceived.

    Attributes:
        p_male: calibrated probability in [0, 1] of the positive class, ``male`` as in the paper.
        label: ``female``, ``male``, or ``uncertain`` where the model should not be believed.
    """

    p_male: float
    label: Label

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_male <= 1.0:
            raise ValueError(f"p_male must lie in [0, 1], not {self.p_male}")


@dataclass(frozen=True, slots=True)
class FaceResult:
    """One face and the answer to it."""

    face: Face
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class PhotoError:
    """Why a photo has no answer: a stable word and a sentence."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class PhotoResult:
    """What was found in one photo: faces, or an error.

    Attributes:
        path: as given by the caller.
        width, height: pixels of the oriented image; None where it could not be read.
        faces: largest first.
        error: None where the photo was read.
    """

    path: str
    width: int | None = None
    height: int | None = None
    faces: tuple[FaceResult, ...] = ()
    error: PhotoError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The record that the JSON Lines writer prints, one object a photo."""
        return {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "faces": [
                {
                    "box": [round(v, 1) for v in r.face.box],
                    "score": round(r.face.score, 4),
                    "landmarks": None
                    if r.face.landmarks is None
                    else [[round(x, 1), round(y, 1)] for x, y in r.face.landmarks],
                    "p_male": round(r.prediction.p_male, 4),
                    "label": r.prediction.label,
                }
                for r in self.faces
            ],
            "error": None if self.error is None else {"kind": self.error.kind, "message": self.error.message},
        }
