"""Photos and crops analysed by a server."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import numpy as np
import PIL.Image

from facegender.client.answers import photo_result, prediction, used_model
from facegender.client.connection import Connection
from facegender.errors import InputError, PhotoReadError, ServerError
from facegender.faces.decode import DEFAULT_MAX_PIXELS, UNNAMED, file_bytes
from facegender.faces.types import CROP_SIZE, Crops, PhotoError, PhotoResult, Prediction, check_crops
from facegender.inference.inputs import OpenedPhoto, Photo, open_photo, open_photo_or_error, refuse_one_photo
from facegender.inference.options import Options
from facegender.inference.tasks import Task
from facegender.prefetch import ahead
from facegender.sources import MAX_BYTES, content_digest, read
from facegender.wire import (
    ANALYZE,
    CLASSIFY,
    CROPS_AT_ONCE,
    HOST,
    MODELS,
    PORT,
    PROBLEMS,
    Analysis,
    Classification,
    Models,
    Parameters,
    UsedModel,
)

T = TypeVar("T")
R = TypeVar("R")


class Client:
    """Asks a server; may be used by several threads at once.

    Args:
        model: one of its models; None takes its default.
        max_error, min_confidence: as for `FaceAnalyzer`; with neither, the server takes an accepted error of 0.01.
        timeout: seconds without a sign of life after which an answer is given up.
        retries: how often a request is sent again after a broken connection, or an answer such as 429 or 503 that
            will pass; in between, it waits as long as the server asks, or ever longer.

    Raises:
        InputError: a URL or a token that cannot be, a number out of range, or both ways to say when to answer
            ``uncertain``.
    """

    def __init__(
        self,
        url: str = f"http://{HOST}:{PORT}",
        *,
        token: str | None = None,
        model: str | None = None,
        max_error: float | None = None,
        min_confidence: float | None = None,
        timeout: float = 120.0,
        retries: int = 5,
    ) -> None:
        Options(max_error=max_error, min_confidence=min_confidence)  # refuses what cannot be
        given = zip(Parameters.__annotations__, (model, max_error, min_confidence), strict=True)
        self._parameters = {name: value for name, value in given if value is not None}
        self._connection = Connection(url, token, timeout, retries)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connection.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def analyze(self, photo: Photo) -> PhotoResult:
        """Analyse one photo. A photo that cannot be read, here or by the server, gives a result with an error.

        Raises:
            ServerError: the server refuses, cannot be reached, or is none of facegender's.
            InputError: it is no photo.
        """
        return self._analyze(*open_photo(photo, DEFAULT_MAX_PIXELS), threading.Event())[1]

    def analyze_many(self, photos: Iterable[Photo], *, concurrency: int = 8) -> Iterator[PhotoResult]:
        """Analyse photos, several at a time; results come in order, as `analyze` gives them.

        Photos are taken from `photos` only as fast as they are answered: no more than twice `concurrency` are under
        way, and the files of no more than `concurrency` are held.

        Raises:
            ServerError: as for `analyze`; what was under way is given up.
            InputError: one photo was given.
        """
        refuse_one_photo(photos)
        ended = threading.Event()
        return _concurrently(
            lambda photo: self._analyze(*open_photo_or_error(photo, DEFAULT_MAX_PIXELS), ended)[1],
            photos,
            concurrency,
            ended,
        )

    def analyze_tasks(
        self, tasks: Iterable[Task], *, concurrency: int
    ) -> Iterator[tuple[UsedModel | None, PhotoResult]]:
        """Analyse photos that are anything that a source can be, as `analyze_many`.

        Yields:
            The model that answered, None where the photo was not sent, and the result.

        Raises:
            ServerError: as for `analyze`.
        """
        ended = threading.Event()
        return _concurrently(lambda task: self._analyze_task(task, ended), tasks, concurrency, ended)

    def _analyze_task(self, task: Task, ended: threading.Event) -> tuple[UsedModel | None, PhotoResult]:
        try:
            photo = read(task.source)
        except PhotoReadError as error:
            return None, PhotoResult(task.source.name, error=PhotoError(error.kind, str(error)), weight=task.weight)
        used, result = self._analyze(task.source.name, photo, ended)
        return used, replace(result, weight=task.weight, digest=content_digest(photo))

    def classify(self, crops: Crops) -> list[Prediction]:
        """One answer a crop.

        Args:
            crops: uint8, N x 64 x 64 x 3, RGB, aligned as the model's template says; N may be 0.

        Raises:
            InputError: another dtype or shape.
            ServerError: as for `analyze`.
        """
        check_crops(crops)
        predictions: list[Prediction] = []
        for start in range(0, len(crops), CROPS_AT_ONCE):
            predictions += self._classify(crops[start : start + CROPS_AT_ONCE])[1]
        return predictions

    def models(self) -> Models:
        """What the server can do.

        Raises:
            ServerError: as for `analyze`.
        """
        answer = self._connection.get(MODELS)
        if not Models.__required_keys__ <= answer.keys():
            raise self._connection.unexpected("an answer without its models")
        return cast(Models, answer)

    def provenance(self) -> dict[str, Any]:
        """What results depend on, as `facegender.inference.options.Options.provenance` has it.

        Raises:
            ServerError: as for `analyze`; a wrong token or model shows here.
        """
        about = self.models()
        used, _ = self._classify(np.zeros((1, CROP_SIZE, CROP_SIZE, 3), np.uint8))
        detector = {"name": about["detector"]["name"], "sha256": about["detector"]["sha256"]}
        options: dict[str, Any] = {"min_face": None, "min_score": None, "orientations": "auto"}
        options["max_pixels"] = about["limits"].get("max_pixels")
        return {"version": about["version"], "model": used, "detector": detector, "options": options}

    def _analyze(
        self, name: str, photo: OpenedPhoto | PhotoError, ended: threading.Event
    ) -> tuple[UsedModel | None, PhotoResult]:
        """The model that answered, if it came to that, and the result."""
        if isinstance(photo, PhotoError):
            return None, PhotoResult(name, error=photo)
        try:
            data = _bytes_of(name, photo)
        except PhotoReadError as error:
            return None, PhotoResult(name, error=PhotoError(error.kind, str(error)))
        try:
            answer = self._connection.post(ANALYZE, data, self._parameters, ended)
        except ServerError as error:
            if error.status != PROBLEMS["too_large"].status:
                raise
            what = f"{name or UNNAMED} has {len(data)} bytes, more than {self.url} takes"
            return None, PhotoResult(name, error=PhotoError("byte_limit", what))
        try:
            analysis = cast(Analysis, answer)
            [record] = analysis["photos"]
            return used_model(analysis), photo_result(name, record)
        except (KeyError, TypeError, ValueError) as error:
            raise self._connection.unexpected("an answer without results") from error

    def _classify(self, crops: Crops) -> tuple[UsedModel, list[Prediction]]:
        answer = cast(Classification, self._connection.post(CLASSIFY, crops.tobytes(), self._parameters))
        try:
            predictions = [prediction(record) for record in answer["predictions"]]
            if len(predictions) != len(crops):
                raise ValueError(f"{len(predictions)} answers to {len(crops)} crops")
            return used_model(answer), predictions
        except (KeyError, TypeError, ValueError) as error:
            raise self._connection.unexpected("an answer without predictions") from error


def _bytes_of(name: str, photo: OpenedPhoto) -> bytes:
    """What is sent of a photo: the bytes of its file, or an array as PNG."""
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, (str, Path)):
        return file_bytes(photo, max_bytes=MAX_BYTES, name=name)
    file = io.BytesIO()
    PIL.Image.fromarray(photo).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _concurrently(call: Callable[[T], R], items: Iterable[T], concurrency: int, ended: threading.Event) -> Iterator[R]:
    """What `call` gives for each item, in order; `ended` is set when no more results are taken."""
    if concurrency < 1:
        raise InputError(f"at least 1 request at a time is needed, not {concurrency}")
    return ahead(call, items, threads=concurrency, waiting=2 * concurrency - 1, eager=True, ended=ended)
