"""The networks that ship with the package: ``NAME.onnx``, each with a card ``NAME.json`` beside it.

The networks take ``crops``, uint8 N x 64 x 64 x 3 RGB, and give ``logits``, float32 N x 2 (female, male);
normalisation lies inside the graph.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from facegender.errors import WeightsError
from facegender.faces.align import BoxTemplate
from facegender.faces.types import CROP_SIZE

DEFAULT = "custom-cnn-lfw"

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of one weight file.

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
    template: BoxTemplate
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
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in record]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return cls(
            **{
                **{name: record[name] for name in names},
                "mean": tuple(record["mean"]),
                "std": tuple(record["std"]),
                "template": BoxTemplate.from_dict(record["template"]),
            }
        )


def names() -> list[str]:
    """The networks that came with this installation."""
    return sorted(path.stem for path in _FOLDER.glob("*.onnx"))


def onnx_path(name_or_path: str | Path) -> Path:
    """The ONNX file of a shipped network, or the path itself where it ends in ``.onnx``.

    Raises:
        WeightsError: no network of that name, or no such file.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".onnx"):
        path = Path(name_or_path)
        try:
            found = path.is_file()
        except OSError as error:
            raise WeightsError(f"cannot read {path}: {error.strerror}") from error
        if not found:
            raise WeightsError(f"no such weight file: {path}")
        return path
    if name_or_path not in names():
        raise WeightsError(
            f"unknown model {name_or_path!r}; installed: {', '.join(names()) or 'none'}",
            remedy="or give the path of an .onnx file with its .json card beside it",
        )
    return _FOLDER / f"{name_or_path}.onnx"


def load_card(name_or_path: str | Path = DEFAULT) -> Card:
    """Read the card of a network and check the ONNX file against it.

    Raises:
        WeightsError: unknown name, no card, a card with a fault, or a weight file whose sha256 differs.
    """
    weights = onnx_path(name_or_path)
    card_path = weights.with_suffix(".json")
    try:
        card = Card.from_dict(json.loads(card_path.read_text(encoding="utf-8")))
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"{weights} has no card beside it: {card_path} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"the weight card {card_path} cannot be used: {error}") from error
    if found != card.sha256:
        raise WeightsError(
            f"{weights} is damaged: its sha256 is {found}, its card says {card.sha256}",
            remedy="install again: pip install --force-reinstall --no-deps facegender",
        )
    return card
