"""The faces in a photo, each with a calibrated estimate of how its gender is perceived.

Names are imported when they are first used: ``import facegender`` costs nothing, and needs no extra.
"""

from __future__ import annotations

import importlib
import os

from facegender._version import __version__

# ONNX Runtime's own packages report each session to their maker, from 1.29 on, and keep a file for it. This must be
# said before it is first imported; who wants the reports can set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from facegender.client import Client
    from facegender.faces.annotate import annotate
    from facegender.faces.decode import decode
    from facegender.faces.types import Face, FaceResult, PhotoError, PhotoResult, Picture, Prediction
    from facegender.inference.classifier import GenderClassifier
    from facegender.inference.detector import FaceDetector, OnnxDetector
    from facegender.inference.engines import Engine, InProcess, Workers
    from facegender.inference.options import Options
    from facegender.inference.pipeline import FaceAnalyzer
    from facegender.inference.run import RunSummary, analyze
    from facegender.video.analyze import VideoAnalyzer
    from facegender.video.types import Sighting, Track, VideoResult
    from facegender.weights import list_models

__all__ = [
    "Client",
    "Engine",
    "Face",
    "FaceAnalyzer",
    "FaceDetector",
    "FaceResult",
    "GenderClassifier",
    "InProcess",
    "OnnxDetector",
    "Options",
    "PhotoError",
    "PhotoResult",
    "Picture",
    "Prediction",
    "RunSummary",
    "Sighting",
    "Track",
    "VideoAnalyzer",
    "VideoResult",
    "Workers",
    "__version__",
    "analyze",
    "annotate",
    "decode",
    "list_models",
]

_MODULES = {
    "client": ("Client",),
    "faces.annotate": ("annotate",),
    "faces.decode": ("decode",),
    "faces.types": ("Face", "FaceResult", "PhotoError", "PhotoResult", "Picture", "Prediction"),
    "inference.classifier": ("GenderClassifier",),
    "inference.detector": ("FaceDetector", "OnnxDetector"),
    "inference.engines": ("Engine", "InProcess", "Workers"),
    "inference.options": ("Options",),
    "inference.pipeline": ("FaceAnalyzer",),
    "inference.run": ("RunSummary", "analyze"),
    "video.analyze": ("VideoAnalyzer",),
    "video.types": ("Sighting", "Track", "VideoResult"),
    "weights": ("list_models",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            globals()[name] = value = getattr(importlib.import_module(f"facegender.{module}"), name)
            return value
    from importlib.util import find_spec

    if not name.startswith("_") and find_spec(f"facegender.{name}") is not None:
        return importlib.import_module(f"facegender.{name}")
    raise AttributeError(f"module 'facegender' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
