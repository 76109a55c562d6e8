"""Asks a server over HTTP, again and again where that helps."""

from __future__ import annotations

import email.utils
import io
import ipaddress
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import PIL.Image

from facegender._version import __version__
from facegender.client.answers import Models, UsedModel, photo_result, prediction, used_model
from facegender.client.order import in_order
from facegender.errors import InputError, MissingExtraError, PhotoReadError, ServerError
from facegender.faces.decode import DEFAULT_MAX_PIXELS, UNNAMED, file_bytes
from facegender.faces.types import (
    CROP_SIZE,
    Crops,
    PhotoError,
    PhotoResult,
    Prediction,
)
from facegender.inference.inputs import OpenedPhoto, Photo, open_photo, open_photo_or_error, refuse_one_photo
from facegender.inference.options import Options
from facegender.inference.tasks import Task
from facegender.sources import MAX_BYTES, content_digest, read

try:
    import httpx
except ImportError:
    raise MissingExtraError("httpx", "client") from None

#: Crops that are sent with one request: 3.1 MB.
_CROPS = 256
#: Answers after which the same request may be welcome a little later. All that is asked of the service is safe to ask
#: twice.
_PASSING = (429, 502, 503, 504)
#: Seconds of the first pause where the server names none, and of the longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 60.0
#: Seconds in which a connection must be there.
_CONNECT_SECONDS = 10.0


class Client:
    """Asks a server; may be used by several threads at once.

    Args:
        url: where the server is.
        token: that it asks for.
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
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        model: str | None = None,
        max_error: float | None = None,
        min_confidence: float | None = None,
        timeout: float = 120.0,
        retries: int = 5,
    ) -> None:
        Options(max_error=max_error, min_confidence=min_confidence)  # refuses what cannot be
        if timeout <= 0 or retries < 0:
            raise InputError(f"a timeout above 0 and retries from 0 on are needed, not {timeout} and {retries}")
        if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
            raise InputError("the token must be one word of ASCII characters")
        self.url, local = _checked(url)
        given = {"model": model, "max_error": max_error, "min_confidence": min_confidence}
        self._query = {name: value for name, value in given.items() if value is not None}
        self._retries = retries
        headers = {"User-Agent": f"facegender/{__version__}", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        # A proxy of the environment is for the way out of this machine.
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS), pool=None),
            limits=httpx.Limits(max_connections=None),
            follow_redirects=False,
            trust_env=not local,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def analyze(self, photo: Photo) -> PhotoResult:
        """Analyse one photo. A photo that cannot be read, here or by the server, gives a result with an error.

        Args:
            photo: as for `FaceAnalyzer.analyze`.

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

        def one(photo: Photo, ended: threading.Event) -> PhotoResult:
            return self._analyze(*open_photo_or_error(photo, DEFAULT_MAX_PIXELS), ended)[1]

        return in_order(one, photos, concurrency)

    def analyze_task(self, task: Task, ended: threading.Event) -> tuple[UsedModel | None, PhotoResult]:
        """Analyse a photo that is anything that a source can be.

        Args:
            task: the photo.
            ended: nobody waits for the answer any more.

        Returns:
            The model that answered, None where the photo was not sent, and the result.

        Raises:
            ServerError: as for `analyze`.
        """
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
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise InputError(
                f"crops must be uint8, N x {CROP_SIZE} x {CROP_SIZE} x 3, not {crops.dtype}, {crops.shape}"
            )
        predictions: list[Prediction] = []
        for start in range(0, len(crops), _CROPS):
            predictions += self._classify(crops[start : start + _CROPS])[1]
        return predictions

    def models(self) -> Models:
        """What the server can do.

        Raises:
            ServerError: as for `analyze`.
        """
        answer = self._json("GET", "/v1/models")
        if not Models.__required_keys__ <= answer.keys():
            raise self._nonsense("an answer without its models")
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
            answer = self._json("POST", "/v1/analyze", data, ended)
        except ServerError as error:
            if error.status != 413:
                raise
            what = f"{name or UNNAMED} has {len(data)} bytes, more than {self.url} takes"
            return None, PhotoResult(name, error=PhotoError("byte_limit", what))
        try:
            [record] = answer["photos"]
            return used_model(answer), photo_result(name, record)
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense("an answer without results") from error

    def _classify(self, crops: Crops) -> tuple[UsedModel, list[Prediction]]:
        answer = self._json("POST", "/v1/classify", crops.tobytes())
        try:
            predictions = [prediction(record) for record in answer["predictions"]]
            if len(predictions) != len(crops):
                raise ValueError(f"{len(predictions)} answers to {len(crops)} crops")
            return used_model(answer), predictions
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense("an answer without predictions") from error

    def _json(
        self, method: str, path: str, data: bytes | None = None, ended: threading.Event | None = None
    ) -> dict[str, Any]:
        """The object that the server answers with."""
        response = self._answer(method, path, data, ended or threading.Event())
        if response.status_code != 200:
            raise self._refusal(response)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._nonsense(response.headers.get("content-type", "something else"), 200)
        return answer

    def _answer(self, method: str, path: str, data: bytes | None, ended: threading.Event) -> httpx.Response:
        """The server's answer, after as many tries as it takes and are allowed."""
        headers = {} if data is None else {"Content-Type": "application/octet-stream"}
        query = None if data is None else self._query
        for tried in range(self._retries + 1):
            pause = _FIRST_PAUSE * 2**tried * random.random()
            last = tried == self._retries
            try:
                response = self._http.request(method, f"{self.url}{path}", params=query, content=data, headers=headers)
            except httpx.TransportError as error:
                if last or isinstance(error, httpx.UnsupportedProtocol):
                    raise ServerError(
                        f"{self.url} cannot be reached: {error or type(error).__name__}",
                        remedy="facegender serve starts a server",
                    ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:  # an answer that is no HTTP, or cannot be decoded
                raise self._nonsense(f"{type(error).__name__}: {error}") from error
            else:
                asked = _retry_after(response)
                if last or response.status_code not in _PASSING or asked > _LONGEST_PAUSE:
                    return response
                # Not all at once, whoever else has been told the same.
                pause = max(pause, asked * random.uniform(1, 1.5))
            if ended.wait(min(pause, 1.5 * _LONGEST_PAUSE)):
                raise ServerError(f"{self.url} was not asked again: the run has ended")
        raise AssertionError("the last try returns or raises")

    def _refusal(self, response: httpx.Response) -> ServerError:
        status = response.status_code
        place = f"{response.request.method} {self.url}{response.request.url.path}"
        if response.has_redirect_location:
            to = response.headers["location"]
            return ServerError(f"{place} leads to {to}, which is not followed", status=status, remedy="give that URL")
        try:
            problem = response.json()
            detail, kind = str(problem["detail"]), str(problem["kind"])
        except (ValueError, KeyError, TypeError):
            return self._nonsense(f"status {status} {response.reason_phrase}, and not why", status)
        remedy = "set FACEGENDER_TOKEN, or give token=" if status == 401 else None
        return ServerError(f"{place}: {detail}", status=status, kind=kind, remedy=remedy)

    def _nonsense(self, what: str, status: int | None = None) -> ServerError:
        return ServerError(
            f"{self.url} is no server of facegender's, or something is in its way: it gave {what}", status=status
        )


def _checked(url: str) -> tuple[str, bool]:
    """The URL without its last slash, and whether it leads to this machine."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InputError(f"{url!r} is no URL: {error}") from None
    if parsed.userinfo:
        raise InputError("the server's URL must not hold a password", remedy="there is the token")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise InputError(f"{url!r} is not where a server is", remedy="such as http://127.0.0.1:8000")
    try:
        local = ipaddress.ip_address(parsed.host).is_loopback
    except ValueError:
        local = parsed.host == "localhost"
    return url.rstrip("/"), local


def _bytes_of(name: str, photo: OpenedPhoto) -> bytes:
    """What is sent of a photo: the bytes of its file, or an array as PNG."""
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, (str, Path)):
        return file_bytes(photo, max_bytes=MAX_BYTES, name=name)
    file = io.BytesIO()
    PIL.Image.fromarray(photo).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not say."""
    text = response.headers.get("retry-after", "0").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
