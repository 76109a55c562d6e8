"""What a server answers, as the types of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from facegender.faces.decode import UNNAMED
from facegender.faces.types import Face, FaceResult, Note, PhotoError, PhotoResult, Prediction


class UsedModel(TypedDict):
    """The classifier that answered, and the confidence below which its answers are ``uncertain``."""

    name: str
    sha256: str
    min_confidence: float


class ModelInfo(TypedDict):
    """What a server tells of a classifier: fields of its card."""

    name: str
    network: str
    parameters: int
    precision: str
    input_size: int
    training_data: str
    licence: str
    sha256: str
    template: dict[str, Any]
    confidence_for_error: dict[str, float]
    accuracy: dict[str, Any]


class DetectorInfo(TypedDict):
    """What a server tells of its face detector."""

    name: str
    sha256: str
    min_score: float
    smallest_face: float


class Models(TypedDict):
    """What a server can do.

    Keys:
        version: of facegender there.
        models, default: its classifiers, and the name of the one that answers unless another is asked for.
        detector: finds its faces.
        limits: of requests, such as ``max_bytes`` and ``max_photos``.
    """

    version: str
    models: list[ModelInfo]
    default: str
    detector: DetectorInfo
    limits: dict[str, float]


@dataclass(frozen=True, slots=True)
class ServedFace(Face):
    """A face found by a server.

    Attributes:
        judged: its quality, which the server judged before it rounded the places.
    """

    judged: float = field(kw_only=True)

    @property
    def quality(self) -> float:
        """As for `Face`."""
        return self.judged


def used_model(answer: Mapping[str, Any]) -> UsedModel:
    """The model of an answer; errors as for `photo_result`."""
    model = answer["model"]
    return {
        "name": str(model["name"]),
        "sha256": str(model["sha256"]),
        "min_confidence": float(model["min_confidence"]),
    }


def photo_result(name: str, record: Mapping[str, Any]) -> PhotoResult:
    """The result of a record, for a photo that the server knows no name of.

    Raises:
        KeyError, TypeError, ValueError: it is no such record.
    """
    if record["error"] is not None:
        message = str(record["error"]["message"])
        if name:  # the server was not told
            message = message.replace(UNNAMED, name, 1)
        return PhotoResult(name, error=PhotoError(str(record["error"]["kind"]), message))
    faces = tuple(FaceResult(_face(each), prediction(each)) for each in record["faces"])
    notes = tuple(Note(str(each["kind"]), str(each["message"])) for each in record.get("notes", ()))
    return PhotoResult(name, int(record["width"]), int(record["height"]), faces, notes=notes)


def _face(record: Mapping[str, Any]) -> ServedFace:
    x, y, width, height = map(float, record["box"])
    one, two, three, four, five = ((float(x), float(y)) for x, y in record["landmarks"])
    score, quality = float(record["score"]), float(record["quality"])
    return ServedFace((x, y, width, height), (one, two, three, four, five), score, judged=quality)


def prediction(record: Mapping[str, Any]) -> Prediction:
    """The answer to a face or a crop; errors as for `photo_result`."""
    if record["label"] not in ("female", "male", "uncertain"):
        raise ValueError(f"no answer: {record['label']}")
    return Prediction(float(record["p_male"]), record["label"])
