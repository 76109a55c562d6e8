"""Photos and crops analysed by a server."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import numpy as np
import PIL.Image

from facegender.client.answers import photo_result, prediction, used_model
from facegender.client.connection import Connection
from facegender.errors import ByteLimitError, InputError, PhotoReadError, ServerError
from facegender.faces.decode import DEFAULT_MAX_PIXELS, UNNAMED, check_pixels, file_bytes
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

    Attributes:
        url: where the server is.
        limits: what the server has said that one request may have, by the names of `facegender.wire.Limits`; empty
            until `models` or `provenance` has asked, and where the server does not say. Photos above them are not sent.

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
        self.url = self._connection.url
        self.limits: dict[str, float] = {}

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
        stamp = task.source.stamp()
        try:
            if stamp is not None:  # before it is read
                self._check_bytes(task.source.name, stamp.size)
            photo = read(task.source)
        except PhotoReadError as error:
            return None, PhotoResult(task.source.name, error=PhotoError(error.kind, str(error)), weight=task.weight)
        digest = content_digest(photo)  # before it is sent: if it is replaced meanwhile, it is sent again another time
        used, result = self._analyze(task.source.name, photo, ended)
        return used, replace(result, weight=task.weight, digest=digest)

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
        if not Models.__required_keys__ - {"limits"} <= answer.keys():
            raise self._connection.unexpected("an answer without its models")
        limits = answer.get("limits")
        said = limits.items() if isinstance(limits, dict) else ()
        self.limits = {name: value for name, value in said if isinstance(value, int | float)}
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
        options["max_pixels"] = self.limits.get("max_pixels")
        return {"version": about["version"], "model": used, "detector": detector, "options": options}

    def _analyze(
        self, name: str, photo: OpenedPhoto | PhotoError, ended: threading.Event
    ) -> tuple[UsedModel | None, PhotoResult]:
        """The model that answered, if it came to that, and the result."""
        if isinstance(photo, PhotoError):
            return None, PhotoResult(name, error=photo)
        try:
            data = self._bytes_of(name, photo)
        except PhotoReadError as error:
            return None, PhotoResult(name, error=PhotoError(error.kind, str(error)))
        try:
            answer = self._connection.post(ANALYZE, data, self._parameters, ended)
        except ServerError as error:
            if error.status != PROBLEMS["too_large"].status:
                raise
            too_large = self._too_large(name, len(data))
            return None, PhotoResult(name, error=PhotoError(too_large.kind, str(too_large)))
        try:
            analysis = cast(Analysis, answer)
            [record] = analysis["photos"]
            return used_model(analysis), photo_result(name, record)
        except (KeyError, TypeError, ValueError) as error:
            raise self._connection.unexpected("an answer without results") from error

    def _bytes_of(self, name: str, photo: OpenedPhoto) -> bytes:
        """What is sent of a photo: the bytes of its file, or an array as PNG.

        Raises:
            ByteLimitError, PixelLimitError: the server has said that it would not take it.
            PhotoReadError: it cannot be read.
        """
        if isinstance(photo, str | Path):
            with suppress(OSError, ValueError):  # reading it says what is wrong
                self._check_bytes(name, Path(photo).stat().st_size)
        if (most := self.limits.get("max_pixels")) is not None:
            check_pixels(photo, max_pixels=int(most), name=name or None)
        if isinstance(photo, str | Path):
            data = file_bytes(photo, max_bytes=MAX_BYTES, name=name)
        elif isinstance(photo, bytes):
            data = photo
        else:
            file = io.BytesIO()
            PIL.Image.fromarray(photo).save(file, "PNG", compress_level=1)
            data = file.getvalue()
        self._check_bytes(name, len(data))
        return data

    def _check_bytes(self, name: str, size: int) -> None:
        if size > self.limits.get("max_bytes", math.inf):
            raise self._too_large(name, size)

    def _too_large(self, name: str, size: int) -> ByteLimitError:
        most = self.limits.get("max_bytes")
        return ByteLimitError(
            f"{name or UNNAMED} has {size} bytes, more than {self.url} takes",
            remedy=None if most is None else f"at most {most:.0f}; facegender serve --max-bytes raises it",
        )

    def _classify(self, crops: Crops) -> tuple[UsedModel, list[Prediction]]:
        answer = cast(Classification, self._connection.post(CLASSIFY, crops.tobytes(), self._parameters))
        try:
            predictions = [prediction(record) for record in answer["predictions"]]
            if len(predictions) != len(crops):
                raise ValueError(f"{len(predictions)} answers to {len(crops)} crops")
            return used_model(answer), predictions
        except (KeyError, TypeError, ValueError) as error:
            raise self._connection.unexpected("an answer without predictions") from error


def _concurrently(call: Callable[[T], R], items: Iterable[T], concurrency: int, ended: threading.Event) -> Iterator[R]:
    """What `call` gives for each item, in order; `ended` is set when no more results are taken."""
    if concurrency < 1:
        raise InputError(f"at least 1 request at a time is needed, not {concurrency}")
    return ahead(call, items, threads=concurrency, waiting=2 * concurrency - 1, eager=True, ended=ended)
