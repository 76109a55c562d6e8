"""The card of each weight file, JSON beside the file."""

from __future__ import annotations

import math
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from facegender.errors import InputError
from facegender.faces.align import LandmarkTemplate
from facegender.faces.types import CROP_SIZE

#: How the weights are stored, and for int8 what most of the arithmetic is done in.
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

#: Share of wrong answers among those given that is accepted unless the user says otherwise.
DEFAULT_MAX_ERROR = 0.01


@dataclass(frozen=True, slots=True)
class Card:
    """The card of a classifier.

    Attributes:
        name: the word for ``--model``.
        network: name in the network registry.
        input_size: side of the crop in pixels.
        channels: what the network sees of the RGB crop; the graph itself turns RGB to gray.
        colour_order: of the crops.
        mean, std: per channel, in 0..255; for the record, since they lie inside the graph.
        template: how the training faces were cropped.
        precision: ``fp32``, ``fp16`` (stored weights) or ``int8`` (weights and arithmetic).
        confidence_for_error: accepted error rate, as a word such as "0.01", to the least confidence, in [0.5, 1], at
            which the answers given to validation faces err at most at that rate.
        training_data, licence: the sets it was trained on, and what that allows.
        sha256: of the ONNX file, or of an OpenVINO network's .xml and .bin one after the other, in hexadecimal.
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
    precision: Precision
    confidence_for_error: dict[str, float]
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
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision}")
        if not self.confidence_for_error:
            raise ValueError("confidence_for_error is empty")
        for rate, confidence in self.confidence_for_error.items():
            if not (0 < float(rate) < 0.5 and 0.5 <= confidence <= 1):
                raise ValueError(f"confidence_for_error has {rate}: {confidence}, not a rate below 0.5 and [0.5, 1]")

    def confidence(self, max_error: float = DEFAULT_MAX_ERROR) -> float:
        """The least confidence for an accepted error rate; between two that are listed, that of the smaller.

        Raises:
            InputError: a rate below all that are listed, or not below 0.5.
        """
        listed = {float(rate): confidence for rate, confidence in self.confidence_for_error.items()}
        allowed = [rate for rate in listed if rate <= max_error]
        if not (allowed and max_error < 0.5):
            raise InputError(
                f"{self.name} knows no least confidence for an error rate of {max_error:g}",
                remedy=f"its rates: {', '.join(f'{rate:g}' for rate in sorted(listed))}",
            )
        return listed[max(allowed)]

    def to_dict(self) -> dict[str, Any]:
        """The record for the JSON file."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "template": self.template.to_dict()}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Card:
        """Read a card's record; fields that are not ours (the recipe) are passed over.

        Raises:
            KeyError, TypeError or ValueError: a field is missing, or has an impossible value.
        """
        known = _known(cls, record)
        template = LandmarkTemplate.from_dict(known["template"])
        return cls(**known | {"mean": tuple(known["mean"]), "std": tuple(known["std"]), "template": template})


@dataclass(frozen=True, slots=True)
class DetectorCard:
    """The card of a face detector.

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
        any_way_up: whether it finds faces that hang upside down or lie on their side; cards of before say nothing.
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
    any_way_up: bool = False

    def __post_init__(self) -> None:
        if self.colour_order != "RGB":
            raise ValueError(f"colour_order must be RGB, not {self.colour_order}")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score must lie in [0, 1], not {self.min_score}")
        if not (math.isfinite(self.smallest_face) and self.smallest_face >= 1):
            raise ValueError(f"smallest_face must be at least 1 pixel, not {self.smallest_face}")

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> DetectorCard:
        """Read a card's record; errors and other fields as for `Card.from_dict`."""
        return cls(**_known(cls, record))


def _known(card: type[Card] | type[DetectorCard], record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a card in a record; ValueError naming those that it lacks."""
    missing = [field.name for field in fields(card) if field.name not in record and field.default is MISSING]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return {field.name: record[field.name] for field in fields(card) if field.name in record}
