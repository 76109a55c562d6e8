"""From photos to results: decode, detect, align, classify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from facegender.errors import InputError, PhotoReadError
from facegender.faces.align import crop_faces
from facegender.faces.decode import DEFAULT_MAX_PIXELS, decode_reduced
from facegender.faces.detect import FaceDetector, OnnxDetector
from facegender.faces.types import FaceResult, Image, PhotoError, PhotoResult, Picture
from facegender.inference.classifier import GenderClassifier

#: A path, the bytes of a file, or an image: uint8, H x W x 3, RGB.
Photo: TypeAlias = str | Path | bytes | Image

#: A chunk ends at this many photos or pixels, whichever comes first, so that memory stays flat.
CHUNK_PHOTOS = 8
CHUNK_PIXELS = 24_000_000

#: Photos are decoded at a size at which the smallest face that is looked for keeps this many pixels a side.
KEPT_FACE = 32


class FaceAnalyzer:
    """Finds the faces of photos and estimates how each is likely to be perceived.

    Args:
        model: a name from `facegender.weights.names()`, or the path of an ``.onnx`` or ``.xml`` file with its card.
        detector: None takes the built-in one, for which `min_face` and `min_score` are meant.
        device: ``cpu``, ``cuda`` or ``auto``.
        min_face: side in pixels of the smallest face to look for; smaller takes longer. None: 11 pixels in
            photos of up to 850 pixels on the longest side, and in larger ones in proportion, 50 at 4000.
        min_score: faces that the detector is less sure of are left out; None takes the detector's own value.
        max_pixels: larger photos become errors instead of filling the memory.
        max_error, min_confidence: as for `GenderClassifier`.
        threads: CPU threads; None takes all cores.

    Raises:
        WeightsError: unknown model, or a file that is not what its card says.
        InputError: no such device, a number out of range, or both ways to say when to answer ``uncertain``.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        detector: FaceDetector | None = None,
        *,
        device: str = "cpu",
        min_face: int | None = None,
        min_score: float | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        max_error: float | None = None,
        min_confidence: float | None = None,
        threads: int | None = None,
    ) -> None:
        self.classifier = GenderClassifier(model, device, threads, max_error=max_error, min_confidence=min_confidence)
        self.detector: FaceDetector = (
            OnnxDetector(min_face=min_face, min_score=min_score, device=device, threads=threads)
            if detector is None
            else detector
        )
        self.max_pixels = max_pixels

    def analyze(self, photo: Photo) -> PhotoResult:
        """Analyse one photo. A photo that cannot be read gives a result with an error.

        The result's path is empty for bytes and arrays.

        Raises:
            InputError: an array that is not uint8, H x W x 3.
        """
        return next(self.analyze_many([photo]))

    def analyze_many(self, photos: Iterable[Photo]) -> Iterator[PhotoResult]:
        """Analyse photos in order, a small chunk at a time; results come as `analyze` gives them."""
        if isinstance(photos, (str, bytes, Path)):
            raise InputError("analyze_many takes several photos; for one there is analyze")
        chunk: list[tuple[str, Picture | PhotoError]] = []
        pixels = 0
        for photo in photos:
            path = "" if isinstance(photo, (bytes, np.ndarray)) else str(photo)
            picture = self._read(photo)
            chunk.append((path, picture))
            if isinstance(picture, Picture):
                pixels += picture.pixels.shape[0] * picture.pixels.shape[1]
            if len(chunk) == CHUNK_PHOTOS or pixels >= CHUNK_PIXELS:
                yield from self._analyze_chunk(chunk)
                chunk, pixels = [], 0
        yield from self._analyze_chunk(chunk)

    def _read(self, photo: Photo) -> Picture | PhotoError:
        if isinstance(photo, np.ndarray):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
                raise InputError(f"an image must be uint8, H x W x 3, not {photo.dtype}, {photo.shape}")
            return Picture.of(photo)
        try:
            return decode_reduced(photo, self._scale, max_pixels=self.max_pixels)
        except PhotoReadError as error:
            return PhotoError(error.kind, str(error))

    def _scale(self, width: int, height: int) -> float:
        return KEPT_FACE / self.detector.smallest_face(width, height)

    def _analyze_chunk(self, chunk: list[tuple[str, Picture | PhotoError]]) -> list[PhotoResult]:
        pictures = [picture for _, picture in chunk if isinstance(picture, Picture)]
        faces = self.detector.detect(pictures)
        template = self.classifier.card.template
        crops = [crop_faces(picture, found, template) for picture, found in zip(pictures, faces, strict=True)]
        predictions = iter(self.classifier.predict(np.concatenate(crops)) if crops else [])

        results = []
        found_in = iter(faces)
        for path, picture in chunk:
            if isinstance(picture, PhotoError):
                results.append(PhotoResult(path, error=picture))
            else:
                answers = tuple(FaceResult(face, next(predictions)) for face in next(found_in))
                results.append(PhotoResult(path, picture.width, picture.height, answers))
        return results
