"""From photos to results: decode, detect, align, classify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Unpack

import numpy as np

from facegender.errors import PhotoReadError
from facegender.faces.align import crop_faces
from facegender.faces.decode import decode_reduced
from facegender.faces.prints import smoothed
from facegender.faces.types import CROP_SIZE, Crops, Face, FaceResult, Note, PhotoError, PhotoResult, Picture
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import FaceDetector
from facegender.inference.inputs import OpenedPhoto, Photo, open_photo, open_photo_or_error, refuse_one_photo
from facegender.inference.options import Options, OptionValues
from facegender.inference.tasks import CHUNK_PHOTOS

#: A chunk ends at `CHUNK_PHOTOS` or at this many pixels, whichever comes first, so that memory stays flat.
CHUNK_PIXELS = 24_000_000


@dataclass(slots=True)
class _Item:
    """A photo on its way: what it is called, what was read of it and found in it."""

    name: str
    photo: OpenedPhoto | PhotoError
    picture: Picture | PhotoError
    faces: list[Face] = field(default_factory=list)


class FaceAnalyzer:
    """Finds the faces of photos and estimates how each is likely to be perceived.

    Args:
        model, detector: as for `Options`.
        options: all options as one object, in place of the others.

    Attributes:
        classifier: answers.
        detector: finds the faces.
        max_pixels: as for `Options`.

    Raises:
        WeightsError: unknown model, or a file that is not what its card says.
        InputError: no such device, a number out of range, or options that contradict each other.
        MissingExtraError: the model is OpenVINO's, which is not installed.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        detector: FaceDetector | str | Path | None = None,
        *,
        options: Options | None = None,
        **values: Unpack[OptionValues],
    ) -> None:
        options = Options.of(options, model, detector, **values)
        self.classifier = GenderClassifier.of(options)
        self.detector = options.open_detector()
        self.max_pixels = options.max_pixels

    def analyze(self, photo: Photo) -> PhotoResult:
        """Analyse one photo. A photo that cannot be read gives a result with an error.

        Args:
            photo: a path, a ``data:`` URI, the bytes of a file, a file opened for reading bytes, a Pillow image, or a
                uint8 array: H x W x 3 (RGB), H x W, H x W x 1 or H x W x 4.

        Returns:
            The result. Its path is the name of the file, empty where there is none.

        Raises:
            InputError: something else was given.
        """
        return next(self.analyze_named([open_photo(photo, self.max_pixels)]))

    def analyze_many(self, photos: Iterable[Photo]) -> Iterator[PhotoResult]:
        """Analyse photos in order, a small chunk at a time; results come as `analyze` gives them.

        There is one result a photo: what is no photo has an error of the kind ``input``.

        Raises:
            InputError: one photo was given.
        """
        refuse_one_photo(photos)
        return self.analyze_named(open_photo_or_error(photo, self.max_pixels) for photo in photos)

    def analyze_named(self, photos: Iterable[tuple[str, OpenedPhoto | PhotoError]]) -> Iterator[PhotoResult]:
        """Analyse photos in order, with the names that their results and errors are to have.

        Args:
            photos: names, each with its photo, or with the error that stands in for it.
        """
        chunk: list[_Item] = []
        pixels = 0
        for name, photo in photos:
            picture = photo if isinstance(photo, PhotoError) else self._read(name, photo)
            chunk.append(_Item(name, photo, picture))
            if isinstance(picture, Picture):
                pixels += picture.pixels.shape[0] * picture.pixels.shape[1]
            if len(chunk) == CHUNK_PHOTOS or pixels >= CHUNK_PIXELS:
                yield from self._analyze_chunk(chunk)
                chunk, pixels = [], 0
        yield from self._analyze_chunk(chunk)

    def _read(self, name: str, photo: OpenedPhoto, scale: float | None = None) -> Picture | PhotoError:
        """The photo, decoded at the least scale that will do: the detector's, unless another is given; smoothed."""
        if isinstance(photo, np.ndarray):
            return smoothed(Picture.of(photo))
        try:
            return smoothed(
                decode_reduced(
                    photo,
                    self.detector.scale if scale is None else lambda width, height: scale,
                    max_pixels=self.max_pixels,
                    name=name or None,
                )
            )
        except PhotoReadError as error:
            return PhotoError(error.kind, str(error))

    def _analyze_chunk(self, chunk: list[_Item]) -> list[PhotoResult]:
        read = [(item, item.picture) for item in chunk if isinstance(item.picture, Picture)]
        for (item, _), faces in zip(read, self.detector.detect([picture for _, picture in read]), strict=True):
            item.faces = faces
        crops = [self._crops(item, picture) for item, picture in read]
        predictions = iter(self.classifier.predict(np.concatenate(crops)) if crops else [])

        results = []
        for item in chunk:
            if isinstance(item.picture, PhotoError):
                results.append(PhotoResult(item.name, error=item.picture))
            else:
                answers = tuple(FaceResult(face, next(predictions).for_quality(face.quality)) for face in item.faces)
                picture, notes = item.picture, item.picture.notes + _turned(item.faces)
                results.append(PhotoResult(item.name, picture.width, picture.height, answers, notes=notes))
        return results

    def _crops(self, item: _Item, picture: Picture) -> Crops:
        """The crops of a photo's faces, from as many of its pixels as they can show."""
        template = self.classifier.card.template
        if picture.scale < 1 and item.faces and not isinstance(item.photo, PhotoError):
            # Decoded for the detector, which does with less. Only photos with small faces are read twice.
            wanted = min(1.0, max(template.scale(face.landmarks) for face in item.faces))
            again = self._read(item.name, item.photo, wanted) if picture.scale < wanted else picture
            if isinstance(again, PhotoError):  # it was deleted since
                item.picture, item.faces = again, []
                return np.empty((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)
            if len(again.notes) > len(picture.notes):  # a screen that the smaller picture did not show
                item.picture = replace(picture, notes=again.notes)
            picture = again
        return crop_faces(picture, item.faces, template)


def _turned(faces: Iterable[Face]) -> tuple[Note, ...]:
    count = sum(face.turned != 0 for face in faces)
    what = "1 face lies on its side or upside down" if count == 1 else f"{count} faces lie on their side or upside down"
    return (Note("turned", what),) if count else ()
