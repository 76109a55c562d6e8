"""The networks that ship with the package: ``NAME.onnx``, each with a card ``NAME.json`` beside it.

A classifier takes ``crops``, uint8 N x 64 x 64 x 3 RGB, and gives ``p_male``, float32 N, calibrated. The
face detector takes ``images``, uint8 N x H x W x 3 RGB with H and W multiples of 32, and gives ``cells``
(`facegender.inference.detector.OnnxDetector` says what they hold). Normalisation and calibration lie inside the graphs.

Classifiers elsewhere may also be OpenVINO's: ``NAME.xml`` and ``NAME.bin``, with the same card.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.resources
import json
import tempfile
from pathlib import Path
from typing import TypeVar

from facegender.errors import WeightsError
from facegender.weights.cards import PRECISIONS, Card, DetectorCard

__all__ = [
    "DEFAULT",
    "PRECISIONS",
    "Card",
    "DetectorCard",
    "detector_path",
    "list_models",
    "load_card",
    "load_detector_card",
    "weight_path",
]

#: The classifier that is used unless another is named.
DEFAULT = "research"

_DETECTOR = "face-detector"


def _files() -> Path:
    """The folder of the files; where the package is imported from an archive, a copy of them while the process runs."""
    folder = Path(__file__).parent
    if folder.is_dir():
        return folder
    copy = tempfile.TemporaryDirectory(prefix="facegender-")
    atexit.register(copy.cleanup)
    for file in importlib.resources.files(__name__).iterdir():
        if file.name.endswith((".onnx", ".json")):
            Path(copy.name, file.name).write_bytes(file.read_bytes())
    return Path(copy.name)


_FOLDER = _files()

AnyCard = TypeVar("AnyCard", Card, DetectorCard)


def list_models() -> list[str]:
    """The classifiers that came with this installation."""
    return sorted(path.stem for path in _FOLDER.glob("*.onnx") if path.stem != _DETECTOR)


def weight_path(name_or_path: str | Path | None = None) -> Path:
    """The ONNX file of a shipped classifier, None the default, or the path itself: it ends in ``.onnx`` or ``.xml``.

    Raises:
        WeightsError: no network of that name, or no such file.
    """
    name_or_path = DEFAULT if name_or_path is None else name_or_path
    if isinstance(name_or_path, Path) or name_or_path.endswith((".onnx", ".xml")):
        return _present(Path(name_or_path), remedy=f"shipped: {', '.join(list_models()) or 'none'}")
    if name_or_path not in list_models():
        raise WeightsError(
            f"unknown model {name_or_path!r}; installed: {', '.join(list_models()) or 'none'}",
            remedy="or give the path of an .onnx or .xml file with its .json card beside it",
        )
    return _FOLDER / f"{name_or_path}.onnx"


def detector_path(path: str | Path | None = None) -> Path:
    """The ONNX file of the shipped face detector, or the path itself; WeightsError where there is none."""
    return _present(_FOLDER / f"{_DETECTOR}.onnx" if path is None else Path(path))


def load_card(name_or_path: str | Path | None = None) -> Card:
    """Read the card of a classifier, None the default, and check its files against it.

    Raises:
        WeightsError: unknown name, no card, a card with a fault, or a weight file whose sha256 differs.
    """
    return _load(weight_path(name_or_path), Card)


def load_detector_card(path: str | Path | None = None) -> DetectorCard:
    """Read the card of a face detector, None the shipped one, and check the ONNX file against it.

    Raises:
        WeightsError: no file, no card, a card with a fault, or a weight file whose sha256 differs.
    """
    return _load(detector_path(path), DetectorCard)


def _present(path: Path, remedy: str | None = None) -> Path:
    try:
        found = path.is_file()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error
    if not found:
        raise WeightsError(f"no such weight file: {path}", remedy=remedy)
    return path


def _load(weights: Path, kind: type[AnyCard]) -> AnyCard:
    card_path = weights.with_suffix(".json")
    files = [weights, weights.with_suffix(".bin")] if weights.suffix == ".xml" else [weights]
    try:
        card = kind.from_dict(json.loads(card_path.read_text(encoding="utf-8")))
        found = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    except FileNotFoundError as error:
        what = "has no card" if error.filename == str(card_path) else "is not whole"
        raise WeightsError(f"{weights} {what}: {error.filename} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"the weight card {card_path} cannot be used: {error}") from error
    if found != card.sha256:
        raise WeightsError(
            f"{weights} is damaged: its sha256 is {found}, its card says {card.sha256}",
            remedy="install again: pip install --force-reinstall --no-deps facegender",
        )
    return card
