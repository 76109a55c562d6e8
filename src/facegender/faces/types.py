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
#: Right eye, left eye, nose tip, right and left mouth corner (the subject's right, so the first eye is the
#: leftmost in an upright picture).
Landmarks: TypeAlias = tuple[Point, Point, Point, Point, Point]

CROP_SIZE = 64

#: Below this quality a face is in the gray zone: under 24 pixels, or turned more than about 45 degrees.
LOW_QUALITY = 0.5

#: From this side in pixels on a face's size takes nothing from its quality.
FULL_QUALITY_SIDE = 48
#: How far the nose tip stands out from the eyes' plane, in inter-eye distances.
NOSE_DEPTH = 0.55


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a photo that is no error but should be known: a stable word and a sentence without its end."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo as it was decoded, perhaps at less than its full size.

    Faces are always in pixels of the full photo; `scale` and `scale_y` lead from there to `pixels`.

    Attributes:
        pixels: uint8, H x W x 3, RGB, EXIF orientation applied.
        width, height: of the full, oriented photo.
        notes: what should be known of it.
    """

    pixels: Image
    width: int
    height: int
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(cls, image: Image) -> Picture:
        """A picture that holds the full photo: uint8, H x W x 3, RGB."""
        return cls(image, width=image.shape[1], height=image.shape[0])

    @property
    def scale(self) -> float:
        """Decoded columns per column of the full photo."""
        return float(self.pixels.shape[1] / self.width)

    @property
    def scale_y(self) -> float:
        """Decoded rows per row of the full photo; differs from `scale` by the rounding of odd sizes."""
        return float(self.pixels.shape[0] / self.height)


@dataclass(frozen=True, slots=True)
class Face:
    """A face found in a photo; all places are in pixels of the full, oriented photo.

    Attributes:
        box: x, y, width, height; may reach beyond the photo's border.
        landmarks: right eye, left eye, nose tip, right and left mouth corner.
        score: the detector's confidence; its scale belongs to the detector.

    Raises:
        ValueError: a number is not finite, the box has no area, or there are not five landmarks.
    """

    box: tuple[float, float, float, float]
    landmarks: Landmarks
    score: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.box) or self.box[2] <= 0 or self.box[3] <= 0:
            raise ValueError(f"a face box needs finite numbers and a positive size, not {self.box}")
        if len(self.landmarks) != 5 or not all(math.isfinite(v) for point in self.landmarks for v in point):
            raise ValueError(f"a face needs five finite landmarks, not {self.landmarks}")

    @property
    def quality(self) -> float:
        """How much of a face there is to judge, in [0, 1]: 1 for a frontal face of 48 pixels or more.

        It falls with the side of the box, to 0.5 at 24 pixels, and with the turn of the head to either side,
        as the landmarks tell it, to 0.5 at 45 degrees; whichever is worse counts.
        """
        side = math.sqrt(self.box[2] * self.box[3])
        return max(0.0, min(side / FULL_QUALITY_SIDE, 1 - abs(_yaw(self.landmarks)) / 90, 1.0))


def _yaw(landmarks: Landmarks) -> float:
    """Turn of the head in degrees, about: how far the nose tip has left the middle between the eyes, along their axis.

    90 where both eyes are one point.
    """
    (right_x, right_y), (left_x, left_y), (nose_x, nose_y), _, _ = landmarks
    axis_x, axis_y = left_x - right_x, left_y - right_y
    square = axis_x * axis_x + axis_y * axis_y
    if square == 0:
        return 90.0
    along = (nose_x - (right_x + left_x) / 2) * axis_x + (nose_y - (right_y + left_y) / 2) * axis_y
    return math.degrees(math.atan(along / square / NOSE_DEPTH))


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
        width, height: pixels of the full, oriented photo; None where it could not be read.
        faces: largest first.
        error: None where the photo was read.
        weight: how many photos of a collection this one stands for; more than 1 in a sample.
        notes: what should be known of the photo besides.
    """

    path: str
    width: int | None = None
    height: int | None = None
    faces: tuple[FaceResult, ...] = ()
    error: PhotoError | None = None
    weight: float = 1.0
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The record that the JSON Lines writer prints, one object a photo; ``notes`` only where there are any."""
        record: dict[str, Any] = {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "weight": self.weight,
            "faces": [
                {
                    "box": [round(v, 1) for v in r.face.box],
                    "score": round(r.face.score, 4),
                    "quality": round(r.face.quality, 4),
                    "landmarks": [[round(x, 1), round(y, 1)] for x, y in r.face.landmarks],
                    "p_male": round(r.prediction.p_male, 4),
                    "label": r.prediction.label,
                }
                for r in self.faces
            ],
            "error": None if self.error is None else {"kind": self.error.kind, "message": self.error.message},
        }
        if self.notes:
            record["notes"] = [{"kind": note.kind, "message": note.message} for note in self.notes]
        return record
