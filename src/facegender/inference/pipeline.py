"""From photos to results: decode, detect, align, classify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from facegender.errors import InputError, PhotoReadError
from facegender.faces.align import crop_faces
from facegender.faces.decode import DEFAULT_MAX_PIXELS, decode
from facegender.faces.detect import FaceDetector, HogDetector
from facegender.faces.types import FaceResult, Image, PhotoError, PhotoResult
from facegender.inference.classifier import GenderClassifier

#: A path, the bytes of a file, or an image: uint8, H x W x 3, RGB.
Photo: TypeAlias = str | Path | bytes | Image

#: A chunk ends at this many photos or pixels, whichever comes first, so that memory stays flat.
CHUNK_PHOTOS = 8
CHUNK_PIXELS = 24_000_000


class FaceAnalyzer:
    """Finds the faces of photos and estimates how each is likely to be perceived.

    Args:
        model: a name from `facegender.weights.names()`, or the path of an ``.onnx`` file with its card.
        detector: None takes the built-in one.
        device: ``cpu``, ``cuda`` or ``auto``.
        min_face: side in pixels of the smallest face that the built-in detector looks for.
        max_pixels: larger photos become errors instead of filling the memory.
        min_confidence: in [0.5, 1]; answers below it are ``uncertain``. None takes the card's value.
        threads: CPU threads; None takes all cores.

    Raises:
        WeightsError: unknown model, or a file that is not what its card says.
        InputError: no such device, or a number out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        detector: FaceDetector | None = None,
        *,
        device: str = "cpu",
        min_face: int = 40,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        min_confidence: float | None = None,
        threads: int | None = None,
    ) -> None:
        self.classifier = GenderClassifier(model, device, threads, min_confidence)
        self.detector = HogDetector(min_face) if detector is None else detector
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
        chunk: list[tuple[str, Image | PhotoError]] = []
        pixels = 0
        for photo in photos:
            path = "" if isinstance(photo, (bytes, np.ndarray)) else str(photo)
            image = self._read(photo)
            chunk.append((path, image))
            if isinstance(image, np.ndarray):
                pixels += image.shape[0] * image.shape[1]
            if len(chunk) == CHUNK_PHOTOS or pixels >= CHUNK_PIXELS:
                yield from self._analyze_chunk(chunk)
                chunk, pixels = [], 0
        yield from self._analyze_chunk(chunk)

    def _read(self, photo: Photo) -> Image | PhotoError:
        if isinstance(photo, np.ndarray):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
                raise InputError(f"an image must be uint8, H x W x 3, not {photo.dtype}, {photo.shape}")
            return photo
        try:
            return decode(photo, max_pixels=self.max_pixels)
        except PhotoReadError as error:
            return PhotoError(error.kind, str(error))

    def _analyze_chunk(self, chunk: list[tuple[str, Image | PhotoError]]) -> list[PhotoResult]:
        images = [image for _, image in chunk if isinstance(image, np.ndarray)]
        faces = self.detector.detect(images)
        template = self.classifier.card.template
        crops = [crop_faces(image, found, template) for image, found in zip(images, faces, strict=True)]
        predictions = iter(self.classifier.predict(np.concatenate(crops)) if crops else [])

        results = []
        found_in = iter(faces)
        for path, image in chunk:
            if isinstance(image, PhotoError):
                results.append(PhotoResult(path, error=image))
            else:
                answers = tuple(FaceResult(face, next(predictions)) for face in next(found_in))
                results.append(PhotoResult(path, image.shape[1], image.shape[0], answers))
        return results
