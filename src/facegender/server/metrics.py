"""Metrics of the service for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from facegender.faces.types import PhotoResult
from facegender.inference.tasks import CHUNK_PHOTOS

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: All other methods are counted as one: clients may invent as many as they like.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class ServiceMetrics:
    """All metrics; `batch` may be called in any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix: dict[str, Any] = {"namespace": "facegender", "registry": self.registry}
        self._requests = Counter("requests", "Requests answered.", ["method", "path", "status"], **prefix)
        self._seconds = Histogram(
            "request_seconds", "From the headers of a request to its answer.", ["path"], buckets=_SECONDS, **prefix
        )
        self.rejected = Counter("rejected", "Requests refused, by the kind of problem.", ["kind"], **prefix)
        self.disconnected = Counter("disconnected", "Requests whose client went before the answer.", **prefix)
        self._photos = Counter("photos", "Photos answered.", ["model"], **prefix)
        self._faces = Counter("faces", "Faces found in them.", ["model"], **prefix)
        self._errors = Counter("photo_errors", "Photos answered with an error.", ["kind"], **prefix)
        self.crops = Counter("crops", "Crops classified.", ["model"], **prefix)
        self._batch = Histogram(
            "batch_tasks", "Tasks worked on together.", buckets=range(1, CHUNK_PHOTOS + 1), **prefix
        )
        self._wait = Histogram("wait_seconds", "A task's time in the queue.", buckets=_SECONDS, **prefix)
        self._work = Histogram("work_seconds", "Time of a batch.", buckets=_SECONDS, **prefix)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Add a number that is read when the metrics are asked for."""
        Gauge(name, about, namespace="facegender", registry=self.registry).set_function(value)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request was answered; `path` is that of its route."""
        self._requests.labels(method if method in _METHODS else "other", path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def photos(self, model: str, results: Sequence[PhotoResult]) -> None:
        """Photos were answered."""
        self._photos.labels(model).inc(len(results))
        self._faces.labels(model).inc(sum(len(result.faces) for result in results))
        for result in results:
            if result.error is not None:
                self._errors.labels(result.error.kind).inc()

    def batch(self, waited: Sequence[float], seconds: float) -> None:
        """A batch took `seconds`, after each of its tasks had waited in the queue."""
        self._batch.observe(len(waited))
        for each in waited:
            self._wait.observe(each)
        self._work.observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """All metrics, and their content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4
