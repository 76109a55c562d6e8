"""The answers of a server as the types of this package.

The functions raise KeyError, TypeError or ValueError for what is no such answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from facegender.faces.decode import UNNAMED
from facegender.faces.types import Face, FaceResult, Label, Note, PhotoError, PhotoResult, Prediction
from facegender.wire import Analysis, Classification, FaceRecord, Models, PhotoRecord, PredictionRecord, UsedModel


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


@dataclass(frozen=True, slots=True)
class ServedNetwork:
    """What a server tells of a network; as for `facegender.weights.Card`."""

    name: str
    licence: str
    sha256: str
    confidence_for_error: dict[str, float]


def served_network(about: Models, name: str | None) -> ServedNetwork | None:
    """What a server tells of one of its networks, of its default where no name is given; None where it does not."""
    try:
        [record] = (record for record in about["models"] if record["name"] == (name or about["default"]))
        rates = {str(rate): float(confidence) for rate, confidence in record["confidence_for_error"].items()}
        return ServedNetwork(str(record["name"]), str(record["licence"]), str(record["sha256"]), rates)
    except (KeyError, TypeError, ValueError, AttributeError):  # of another version; a run says what is wrong
        return None


def used_model(answer: Analysis | Classification) -> UsedModel:
    """The model of an answer."""
    model = answer["model"]
    return {
        "name": str(model["name"]),
        "sha256": str(model["sha256"]),
        "min_confidence": float(model["min_confidence"]),
    }


def photo_result(name: str, record: PhotoRecord) -> PhotoResult:
    """The result of a photo, whose name the server does not know."""
    if (error := record["error"]) is not None:
        message = str(error["message"])
        return PhotoResult(
            name, error=PhotoError(str(error["kind"]), message.replace(UNNAMED, name, 1) if name else message)
        )
    faces = tuple(FaceResult(_face(each), prediction(each)) for each in record["faces"])
    notes = tuple(Note(str(each["kind"]), str(each["message"])) for each in record.get("notes", ()))
    width, height = record["width"], record["height"]
    if width is None or height is None:
        raise ValueError("a photo without its size")
    return PhotoResult(name, int(width), int(height), faces, notes=notes)


def _face(record: FaceRecord) -> ServedFace:
    x, y, width, height = map(float, record["box"])
    one, two, three, four, five = ((float(x), float(y)) for x, y in record["landmarks"])
    score, quality = float(record["score"]), float(record["quality"])
    return ServedFace((x, y, width, height), (one, two, three, four, five), score, judged=quality)


def prediction(record: FaceRecord | PredictionRecord) -> Prediction:
    """The answer to a face or a crop."""
    if record["label"] not in get_args(Label):
        raise ValueError(f"no answer: {record['label']}")
    return Prediction(float(record["p_male"]), record["label"])
