"""What is known of each weight file; it travels beside the file as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from facegender.faces.align import LandmarkTemplate
from facegender.faces.types import CROP_SIZE


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of one classifier.

    Attributes:
        name: the word for ``--model``.
        network: name in the network registry.
        input_size: side of the crop in pixels.
        channels: what the network sees of the RGB crop; the graph itself turns RGB to gray.
        colour_order: of the crops.
        mean, std: per channel, in 0..255; for the record, since they lie inside the graph.
        template: how the training faces were cropped.
        temperature: divides the logits before the softmax.
        min_confidence: below it an answer is ``uncertain``; in [0.5, 1].
        training_data, licence: the sets it was trained on, and what that allows.
        sha256: of the ONNX file, in hexadecimal.
        command: what wrote the file.
        parameters: number of trained values.
        accuracy: test set to what was measured on it.
    """

    name: str
    network: str
    input_size: int
    channels: Literal["rgb", "gray"]
    colour_order: Literal["RGB"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    template: LandmarkTemplate
    temperature: float
    min_confidence: float
    training_data: str
    licence: str
    sha256: str
    command: str
    parameters: int
    accuracy: dict[str, Any]

    def __post_init__(self) -> None:
        if self.input_size != CROP_SIZE:
            raise ValueError(f"input_size must be {CROP_SIZE}, not {self.input_size}")
        if self.channels not in ("rgb", "gray"):
            raise ValueError(f"channels must be rgb or gray, not {self.channels}")
        if self.colour_order != "RGB":
            raise ValueError(f"colour_order must be RGB, not {self.colour_order}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature must be positive, not {self.temperature}")
        if not 0.5 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must lie in [0.5, 1], not {self.min_confidence}")

    def to_dict(self) -> dict[str, Any]:
        """The record for the JSON file."""
        return {
            **asdict(self),
            "mean": list(self.mean),
            "std": list(self.std),
            "template": self.template.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Card:
        """Read a card's record; fields that are not ours (the recipe) are passed over.

        Raises:
            KeyError, TypeError or ValueError: a field is missing, or has an impossible value.
        """
        return cls(
            **{
                **_known(cls, record),
                "mean": tuple(record["mean"]),
                "std": tuple(record["std"]),
                "template": LandmarkTemplate.from_dict(record["template"]),
            }
        )


@dataclass(frozen=True, slots=True)
class DetectorCard:
    """What is known of one face detector.

    Attributes:
        name: of the network.
        network: its kind.
        parameters: number of trained values.
        min_score: faces scored below it are dropped, unless the user says otherwise; in [0, 1].
        smallest_face: side in input pixels of the smallest face that it finds reliably.
        colour_order: of the pictures.
        training_data, licence: the sets it was trained on, and what that allows.
        sha256: of the ONNX file, in hexadecimal.
        command: what wrote the file.
        accuracy: test set to what was measured on it.
    """

    name: str
    network: str
    parameters: int
    min_score: float
    smallest_face: float
    colour_order: Literal["RGB"]
    training_data: str
    licence: str
    sha256: str
    command: str
    accuracy: dict[str, Any]

    def __post_init__(self) -> None:
        if self.colour_order != "RGB":
            raise ValueError(f"colour_order must be RGB, not {self.colour_order}")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score must lie in [0, 1], not {self.min_score}")
        if not (math.isfinite(self.smallest_face) and self.smallest_face >= 1):
            raise ValueError(f"smallest_face must be at least 1 pixel, not {self.smallest_face}")

    def to_dict(self) -> dict[str, Any]:
        """The record for the JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> DetectorCard:
        """Read a card's record; errors and other fields as for `Card.from_dict`."""
        return cls(**_known(cls, record))


def _known(card: type[Card] | type[DetectorCard], record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card in a record; ValueError naming those that it lacks."""
    names = [field.name for field in fields(card)]
    missing = [name for name in names if name not in record]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return {name: record[name] for name in names}
