"""What the service answers, for its OpenAPI document and for those who check it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, description="Calibrated probability of being perceived as male.")]
LabelWord = Literal["female", "male", "uncertain"]
Landmark = Annotated[list[Number], Field(min_length=2, max_length=2)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UsedModel(_Model):
    """The classifier that answered."""

    name: str
    sha256: str
    min_confidence: float = Field(ge=0.5, le=1, description="Answers less probable than this are `uncertain`.")


class FaceRecord(_Model):
    """A face; places are in pixels of the full photo, with its EXIF orientation applied."""

    box: list[Number] = Field(min_length=4, max_length=4, description="x, y, width, height.")
    score: float = Field(description="How sure the detector is that this is a face.")
    quality: float = Field(ge=0, le=1, description="How much there is to judge: below 0.5 it is small or turned away.")
    landmarks: list[Landmark] = Field(
        min_length=5, max_length=5, description="Right eye, left eye, nose tip, right and left mouth corner."
    )
    p_male: Probability
    label: LabelWord


class ErrorRecord(_Model):
    """Why a photo has no answer."""

    kind: str = Field(description="A stable word, such as not_an_image, truncated, pixel_limit, crashed, timeout.")
    message: str


class NoteRecord(_Model):
    """Something about a photo that is no error but should be known."""

    kind: str = Field(description="A stable word, such as pages.")
    message: str


class PhotoRecord(_Model):
    """What was found in a photo: faces, largest first, or an error."""

    path: str = Field(description="The file name that came with the photo; empty for raw bytes.")
    width: int | None
    height: int | None
    weight: float
    faces: list[FaceRecord]
    error: ErrorRecord | None
    notes: list[NoteRecord] = Field(default=[], description="Absent where there are none.")


class Analysis(_Model):
    """The answer to photos, in their order."""

    model: UsedModel
    photos: list[PhotoRecord]


class PredictionRecord(_Model):
    """The answer to a crop."""

    p_male: Probability
    label: LabelWord


class Classification(_Model):
    """The answer to crops, in their order."""

    model: UsedModel
    predictions: list[PredictionRecord]


class ModelRecord(_Model):
    """What is known of a classifier."""

    name: str
    network: str
    parameters: int
    precision: Literal["fp32", "fp16", "int8"]
    input_size: int
    training_data: str
    licence: str
    sha256: str
    template: dict[str, Any] = Field(description="Where the landmarks of a face lie in its crop.")
    confidence_for_error: dict[str, float] = Field(description="Accepted error rate to least confidence.")
    accuracy: dict[str, Any] = Field(description="Test set to what was measured on it.")


class DetectorRecord(_Model):
    """The face detector."""

    name: str
    sha256: str
    min_score: float
    smallest_face: float


class LimitsRecord(_Model):
    """What one request may ask for, and all of them together."""

    max_bytes: int
    max_photos: int
    max_pixels: int
    max_queue: int
    max_wait: float
    max_memory: int
    body_timeout: float
    time_limit: float


class Models(_Model):
    """What the service can do."""

    version: str
    models: list[ModelRecord]
    default: str
    detector: DetectorRecord
    limits: LimitsRecord


class Health(_Model):
    """That the service is there."""

    status: Literal["ok", "ready"]


_ANALYSIS = {
    "model": {"name": "research", "sha256": "97db4d40...", "min_confidence": 0.947},
    "photos": [
        {
            "path": "group.jpg",
            "width": 512,
            "height": 512,
            "weight": 1.0,
            "faces": [
                {
                    "box": [177.9, 68.5, 88.1, 118.3],
                    "score": 0.9412,
                    "quality": 0.9021,
                    "landmarks": [[200.1, 113.4], [242.9, 112.8], [224.2, 137.0], [206.3, 159.2], [239.9, 158.7]],
                    "p_male": 0.0183,
                    "label": "female",
                }
            ],
            "error": None,
        },
        {
            "path": "notes.txt",
            "width": None,
            "height": None,
            "weight": 1.0,
            "faces": [],
            "error": {"kind": "not_an_image", "message": "notes.txt is not an image of a supported format"},
        },
    ],
}
_CLASSIFICATION = {
    "model": {"name": "research", "sha256": "97db4d40...", "min_confidence": 0.947},
    "predictions": [{"p_male": 0.0183, "label": "female"}, {"p_male": 0.8125, "label": "uncertain"}],
}

#: Path to an answer, for the document.
EXAMPLES: dict[str, dict[str, Any]] = {"/v1/analyze": _ANALYSIS, "/v1/classify": _CLASSIFICATION}
