"""Every face in a photo, with a calibrated estimate of how its gender is perceived."""

import os

# ONNX Runtime's own packages report each session to their maker, from 1.29 on, and keep a file for it. This must be
# said before it is first imported; who wants the reports can set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from facegender.errors import (
    FacegenderError,
    InputError,
    MissingExtraError,
    NotAnImageError,
    OutputError,
    PhotoNotFoundError,
    PhotoPermissionError,
    PhotoReadError,
    PixelLimitError,
    TruncatedImageError,
    WeightsError,
)
from facegender.faces.annotate import annotate
from facegender.faces.decode import decode
from facegender.faces.types import Face, FaceResult, PhotoError, PhotoResult, Picture, Prediction
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import FaceDetector, OnnxDetector
from facegender.inference.pipeline import FaceAnalyzer

__all__ = [
    "Face",
    "FaceAnalyzer",
    "FaceDetector",
    "FaceResult",
    "FacegenderError",
    "GenderClassifier",
    "InputError",
    "MissingExtraError",
    "NotAnImageError",
    "OnnxDetector",
    "OutputError",
    "PhotoError",
    "PhotoNotFoundError",
    "PhotoPermissionError",
    "PhotoReadError",
    "PhotoResult",
    "Picture",
    "PixelLimitError",
    "Prediction",
    "TruncatedImageError",
    "WeightsError",
    "annotate",
    "decode",
]
