"""The types that travel from a photo to a record."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from facegender.errors import InputError
from facegender.faces.pose import Landmarks, misfit, roll, yaw
from facegender.wording import counted

#: ``uint8`` array, H x W x 3, RGB, EXIF orientation applied.
Image: TypeAlias = npt.NDArray[np.uint8]
#: ``uint8`` array, N x 64 x 64 x 3, RGB.
Crops: TypeAlias = npt.NDArray[np.uint8]

Label: TypeAlias = Literal["female", "male", "uncertain"]

CROP_SIZE = 64

#: Decimal places of a probability, and of a quality, in a record.
PLACES = 4

#: At most this number of faces is named in the text of a result.
_SHOWN_FACES = 5

#: Below this quality a face is in the gray zone: under 24 pixels, or turned more than about 45 degrees.
LOW_QUALITY = 0.5

#: From this side in pixels on a face's size takes nothing from its quality.
FULL_QUALITY_SIDE = 48
#: Heads rolled further than this from the way up in which they were found, in degrees, are not answered: the faces that
#: the probabilities were calibrated on are rolled less.
FULL_ROLL = 45.0
#: Nor are faces whose landmarks lie less like a face's than this (`facegender.faces.pose.misfit`).
FULL_MISFIT = 0.7


def check_crops(crops: Crops) -> None:
    """Refuse what is no uint8, N x 64 x 64 x 3.

    Raises:
        InputError: another dtype or shape.
    """
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
        raise InputError(f"crops must be uint8, N x {CROP_SIZE} x {CROP_SIZE} x 3, not {crops.dtype}, {crops.shape}")


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
        """A picture that holds the full photo: uint8, H x W x 3, RGB.

        Raises:
            TypeError: something else, such as a Pillow image.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            what = f"{image.dtype}, {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(f"a picture is a numpy array, uint8, H x W x 3, RGB, not {what}")
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
        turned: the way up in which it was found, in degrees clockwise: 0, 90, 180 or 270. 180 is a face that hangs
            upside down.

    Raises:
        ValueError: a number is not finite, the box has no area, or there are not five landmarks.
    """

    box: tuple[float, float, float, float]
    landmarks: Landmarks
    score: float
    turned: int = 0

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.box) or self.box[2] <= 0 or self.box[3] <= 0:
            raise ValueError(f"a face box needs finite numbers and a positive size, not {self.box}")
        if len(self.landmarks) != 5 or not all(math.isfinite(v) for point in self.landmarks for v in point):
            raise ValueError(f"a face needs five finite landmarks, not {self.landmarks}")

    @property
    def roll(self) -> float:
        """How far the head is rolled clockwise in the photo: degrees in (-180, 180], 0 for an upright face."""
        return roll(self.landmarks)

    @property
    def misfit(self) -> float:
        """How unlike a face the landmarks lie, in [0, 1]: `facegender.faces.pose.misfit`."""
        return misfit(self.landmarks)

    @property
    def quality(self) -> float:
        """How much of a face there is to judge, in [0, 1]: 1 for a frontal face of 48 pixels or more.

        It falls with the side of the box, to 0.5 at 24 pixels, and with the turn of the head to either side,
        as the landmarks tell it, to 0.5 at 45 degrees; whichever is worse counts. It is 0 where calibration says
        nothing of such a face: one rolled more than `FULL_ROLL` from the way up in which it was found, or with a
        `misfit` above `FULL_MISFIT`.
        """
        rolled = (self.roll - self.turned + 180) % 360 - 180
        if abs(rolled) > FULL_ROLL or self.misfit > FULL_MISFIT:
            return 0.0
        side = math.sqrt(self.box[2] * self.box[3])
        return max(0.0, min(side / FULL_QUALITY_SIDE, 1 - abs(yaw(self.landmarks)) / 90, 1.0))


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

    def __str__(self) -> str:
        """The answer and how probable it is: ``female 97 %``; or ``uncertain``, without a number."""
        if self.label == "uncertain":
            return self.label
        # Rounded down: "100 %" would claim a certainty that no model has. First to the places that a record has, since
        # 1 - 0.03 lies a little below 0.97.
        return f"{self.label} {min(99, math.floor(round(100 * max(self.p_male, 1 - self.p_male), 2)))} %"

    def for_quality(self, quality: float) -> Prediction:
        """The same for a face of this quality: ``uncertain`` where it is 0, since calibration knows no such faces.

        The quality is rounded first, so that the label follows from the number in the record.
        """
        return replace(self, label="uncertain") if round(quality, PLACES) == 0 else self


@dataclass(frozen=True, slots=True)
class FaceResult:
    """One face and the answer to it.

    Attributes:
        crop: the name of the picture that a run made of the face.
    """

    face: Face
    prediction: Prediction
    crop: str | None = None


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
        digest: SHA-256 of the photo's bytes, where a run has taken it; no part of the record.
        annotated: the name of the copy with the answers drawn in that a run made.
    """

    path: str
    width: int | None = None
    height: int | None = None
    faces: tuple[FaceResult, ...] = ()
    error: PhotoError | None = None
    weight: float = 1.0
    notes: tuple[Note, ...] = ()
    digest: str | None = None
    annotated: str | None = None

    def __repr__(self) -> str:
        if self.error is not None:
            return f"PhotoResult({self.path!r}, {self.error.kind}: {self.error.message})"
        count = counted(len(self.faces), "face")
        answers = ", ".join(str(found.prediction) for found in self.faces[:_SHOWN_FACES])
        more = ", ..." if len(self.faces) > _SHOWN_FACES else ""
        return f"PhotoResult({self.path!r}, {self.width}x{self.height}, {count}{': ' * bool(answers)}{answers}{more})"

    def to_frame(self) -> Any:
        """A pandas DataFrame with the columns of a CSV file, one row a face, or one row for a photo without faces.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from facegender.faces.display import frame_of

        return frame_of(self)

    def _repr_html_(self) -> str:
        """For notebooks: the picture, where its file is there, and a table of the faces."""
        from facegender.faces.display import html_of

        return html_of(self)

    def _repr_png_(self) -> bytes | None:
        """For notebooks: the picture with the answers drawn in; None where its file cannot be read."""
        from facegender.faces.display import png_of

        return png_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The record that the JSON Lines writer prints, one object a photo.

        ``notes``, ``annotated`` and of a face ``crop`` are there only where there are any.
        """
        record: dict[str, Any] = {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "weight": self.weight,
            "faces": [
                {
                    "box": [round(v, 1) for v in r.face.box],
                    "score": round(r.face.score, 4),
                    "quality": round(r.face.quality, PLACES),
                    "landmarks": [[round(x, 1), round(y, 1)] for x, y in r.face.landmarks],
                    "p_male": round(r.prediction.p_male, PLACES),
                    "label": r.prediction.label,
                    **({} if r.crop is None else {"crop": r.crop}),
                }
                for r in self.faces
            ],
            "error": None if self.error is None else {"kind": self.error.kind, "message": self.error.message},
        }
        if self.notes:
            record["notes"] = [{"kind": note.kind, "message": note.message} for note in self.notes]
        if self.annotated is not None:
            record["annotated"] = self.annotated
        return record
