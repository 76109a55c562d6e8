"""The models of the service, its queue, and the admission of requests."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from facegender import weights
from facegender.errors import InputError
from facegender.inference.options import Options
from facegender.inference.tasks import CHUNK_PHOTOS
from facegender.server.batcher import Batcher, BatcherClosedError
from facegender.server.metrics import ServiceMetrics
from facegender.server.problems import ProblemError
from facegender.server.settings import ServerSettings
from facegender.server.worker import Answer, ServiceTask, open_worker
from facegender.weights.cards import Card
from facegender.wire import UsedModel
from facegender.wording import counted


class ClientClosedError(Exception):
    """The client has closed its connection, and does not wait for the answer."""


@dataclass(frozen=True)
class SelectedModel:
    """The classifier of a request, and the confidence from which its answers are not ``uncertain``."""

    card: Card
    min_confidence: float

    def to_dict(self) -> UsedModel:
        """As it is in the answer."""
        return {"name": self.card.name, "sha256": self.card.sha256, "min_confidence": self.min_confidence}


class Service:
    """Models, queue and admission of requests.

    Raises:
        WeightsError: a model or the detector is unknown, or not what its card says.
        InputError: two models have one name, or one knows no confidence for the usual error rate.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.cards: dict[str, Card] = {}
        models: dict[str, Options] = {}
        for model in settings.models:
            options = Options(model=model, detector=settings.detector_model, max_pixels=self.limits.max_pixels)
            card = weights.load_card(model)
            if card.name in self.cards:
                raise InputError(f"two models are called {card.name}", remedy="name each --model once")
            options.confidence(card)
            self.cards[card.name], models[card.name] = card, options
        self.default = next(iter(self.cards))
        self.detector = weights.load_detector_card(settings.detector_model)
        self.metrics = ServiceMetrics()
        self.draining = False
        #: Why the workers could not be started.
        self.failure: Exception | None = None
        self._reserved = 0
        self.batcher: Batcher[ServiceTask, Answer] = Batcher(
            functools.partial(open_worker, models, self.limits.time_limit),
            settings.workers,
            CHUNK_PHOTOS,
            lambda task: len(task.data),
            self.metrics.batch,
            self._on_failure,
        )
        self.metrics.gauge("queue_tasks", "Tasks that wait.", lambda: self.batcher.queued)
        self.metrics.gauge("working_tasks", "Tasks that are being worked on.", lambda: self.batcher.running)
        self.metrics.gauge("workers_ready", "Processes that are ready or at work.", lambda: self.batcher.ready)
        self.metrics.gauge("held_bytes", "Bytes of bodies that are held.", lambda: self._reserved)
        self.metrics.gauge("expected_wait_seconds", "For a request that comes now.", lambda: self.batcher.expected_wait)

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self.batcher.ready > 0 and not self.draining

    def select(self, model: str | None, max_error: float | None, min_confidence: float | None) -> SelectedModel:
        """The classifier that the parameters of a request name, and its threshold.

        Raises:
            ProblemError: 422.
        """
        card = self.cards.get(self.default if model is None else model)
        if card is None:
            raise ProblemError("invalid", f"model: there is none of this name; there are {', '.join(self.cards)}")
        try:
            return SelectedModel(card, Options(max_error=max_error, min_confidence=min_confidence).confidence(card))
        except InputError as error:
            raise ProblemError("invalid", str(error)) from None

    def admit(self, size: int) -> None:
        """Refuse a new request of at least this number of bytes if there is no room.

        Raises:
            ProblemError: 429 or 503, with Retry-After.
        """
        if self.draining:
            raise _ending("the service is about to end")
        self._check_capacity(1, size)

    def _check_capacity(self, tasks: int, size: int) -> None:
        """Refuse a number of tasks and bytes, also of a request that was admitted before the service began to end."""
        if not self.batcher.ready:
            raise ProblemError("not_ready", "no worker is ready", {"Retry-After": "1"})
        wait, queued = self.batcher.expected_wait, self.batcher.queued
        if queued + tasks > self.limits.max_queue:
            verb = "waits" if queued == 1 else "wait"
            why = f"{counted(queued, 'photo')} {verb}, and there is room for {self.limits.max_queue}"
        elif wait > self.limits.max_wait:
            why = f"it would take {wait:.2g} seconds to come to this, above {self.limits.max_wait:g}"
        elif self._reserved + size > self.limits.max_memory:
            why = "as many bytes are held as there is room for"
        else:
            return
        raise ProblemError("busy", why, {"Retry-After": str(max(1, math.ceil(wait)))})

    @contextmanager
    def reserving(self, request: Request) -> Iterator[Callable[[int], None]]:
        """Gives a function that reserves memory for bytes of a body; all of it is released at the end.

        Raises:
            ProblemError: by the function: 429 or 503, where there is no room for more.
        """

        def reserve(size: int) -> None:
            if self._reserved + size > self.limits.max_memory:
                self._check_capacity(0, size)
            self._reserved += size
            request.state.bytes += size

        try:
            yield reserve
        finally:
            self._reserved -= request.state.bytes

    async def answer(self, request: Request, tasks: Sequence[ServiceTask]) -> list[Answer]:
        """Wait for the answers to tasks, as long as the client does.

        Raises:
            ProblemError: 429 or 503.
            ClientClosedError: the client has closed its connection.
        """
        self._check_capacity(len(tasks), 0)
        try:
            submitted = self.batcher.submit(tasks)
            answers = asyncio.wrap_future(submitted)
            closed = asyncio.create_task(_client_closed(request))
            try:
                await asyncio.wait((answers, closed), return_when=asyncio.FIRST_COMPLETED)
                if not answers.done():
                    raise ClientClosedError
                return answers.result()
            finally:
                closed.cancel()
                if not answers.done():
                    self.batcher.cancel(submitted)
        except BatcherClosedError as error:
            raise _ending(str(error)) from None

    def _on_failure(self, error: Exception) -> None:
        self.failure = self.failure or error


def _ending(why: str) -> ProblemError:
    return ProblemError("not_ready", why, {"Retry-After": "5"})


async def _client_closed(request: Request) -> None:
    """Wait until the client has closed its connection; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
