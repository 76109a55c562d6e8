"""Every face in a photo, with a calibrated estimate of how its gender is perceived."""

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
from facegender.faces.decode import decode
from facegender.faces.detect import FaceDetector, OnnxDetector, YuNetDetector
from facegender.faces.types import Face, FaceResult, PhotoError, PhotoResult, Picture, Prediction
from facegender.inference.annotate import annotate
from facegender.inference.classifier import GenderClassifier
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
    "YuNetDetector",
    "annotate",
    "decode",
]
