"""What the service knows and holds: its models, its queue, and whether there is room for one more request."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from facegender import weights
from facegender.errors import InputError
from facegender.inference.options import Options
from facegender.inference.tasks import CHUNK_PHOTOS
from facegender.server.lanes import Lanes, LanesClosedError
from facegender.server.metrics import Metrics
from facegender.server.problems import ProblemError
from facegender.server.settings import ServerSettings
from facegender.server.work import Answer, ServiceTask, process
from facegender.weights.cards import Card


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Chosen:
    """The classifier of a request, and from which confidence on its answers are given."""

    card: Card
    min_confidence: float

    def to_dict(self) -> dict[str, object]:
        """The fields of `facegender.server.schemas.UsedModel`."""
        return {"name": self.card.name, "sha256": self.card.sha256, "min_confidence": self.min_confidence}


class Service:
    """Models, queue and admission.

    Args:
        settings: how it is run.

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
        self.metrics = Metrics()
        self.draining = False
        #: Why the workers could not be started.
        self.failure: Exception | None = None
        self._held = 0
        self.lanes: Lanes[ServiceTask, Answer] = Lanes(
            functools.partial(process, models, self.limits.time_limit),
            settings.workers,
            CHUNK_PHOTOS,
            lambda task: len(task.data),
            self.metrics,
            self._on_failure,
        )
        self.metrics.watch("queue_tasks", "Tasks that wait.", lambda: self.lanes.waiting)
        self.metrics.watch("working_tasks", "Tasks that are being worked on.", lambda: self.lanes.working)
        self.metrics.watch("workers_ready", "Processes that are ready or at work.", lambda: self.lanes.open)
        self.metrics.watch("held_bytes", "Bytes of bodies that are held.", lambda: self._held)
        self.metrics.watch("expected_wait_seconds", "For a request that comes now.", lambda: self.lanes.expected_wait)

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return self.lanes.open > 0 and not self.draining

    def choose(self, model: str | None, max_error: float | None, min_confidence: float | None) -> Chosen:
        """The classifier that a request asks for.

        Raises:
            ProblemError: 422.
        """
        card = self.cards.get(self.default if model is None else model)
        if card is None:
            raise ProblemError("invalid", f"model: there is none of this name; there are {', '.join(self.cards)}")
        try:
            return Chosen(card, Options(max_error=max_error, min_confidence=min_confidence).confidence(card))
        except InputError as error:
            raise ProblemError("invalid", str(error)) from None

    def admit(self, tasks: int, size: int) -> None:
        """See whether one more request, of so many tasks and bytes as far as is known, can be taken.

        Raises:
            ProblemError: 429 or 503, with Retry-After.
        """
        if self.draining:
            raise ProblemError("not_ready", "the service is about to end", {"Retry-After": "5"})
        self._find_room(tasks, size)

    def _find_room(self, tasks: int, size: int) -> None:
        """As `admit`, also for a request that was taken before the service was told to end."""
        if not self.lanes.open:
            raise ProblemError("not_ready", "no worker is ready", {"Retry-After": "1"})
        wait = self.lanes.expected_wait
        if self.lanes.waiting + tasks > self.limits.max_queue:
            why = f"{self.lanes.waiting} photos wait, and there is room for {self.limits.max_queue}"
        elif wait > self.limits.max_wait:
            why = f"it would take {wait:.2g} seconds to come to this, above {self.limits.max_wait:g}"
        elif self._held + size > self.limits.max_memory:
            why = "as many bytes are held as there is room for"
        else:
            return
        raise ProblemError("busy", why, {"Retry-After": str(max(1, math.ceil(wait)))})

    @contextmanager
    def holding(self, request: Request) -> Iterator[_Hold]:
        """Count the bytes of a request's body for as long as they are held."""
        hold = _Hold(self, request)
        try:
            yield hold
        finally:
            self._held -= hold.size

    def _take(self, size: int) -> None:
        if self._held + size > self.limits.max_memory:
            self._find_room(0, size)
        self._held += size

    async def answer(self, request: Request, tasks: Sequence[ServiceTask]) -> list[Answer]:
        """Wait for the answers to tasks, as long as the client does.

        Raises:
            ProblemError: 429 or 503.
            ClientGoneError: the client did not wait.
        """
        self._find_room(len(tasks), 0)
        try:
            ticket = self.lanes.submit(tasks)
        except LanesClosedError as error:
            raise ProblemError("not_ready", str(error), {"Retry-After": "5"}) from None
        answers: asyncio.Future[list[Answer]] = asyncio.wrap_future(ticket.future)
        gone = asyncio.create_task(_gone(request))
        try:
            await asyncio.wait((answers, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answers.done():
                raise ClientGoneError
            return answers.result()
        except LanesClosedError as error:
            raise ProblemError("not_ready", str(error), {"Retry-After": "5"}) from None
        finally:
            gone.cancel()
            if not answers.done():
                self.lanes.drop(ticket)

    def _on_failure(self, error: Exception) -> None:
        self.failure = self.failure or error


class _Hold:
    """The bytes that a request holds."""

    def __init__(self, service: Service, request: Request) -> None:
        self._service, self._request = service, request
        self.size = 0

    def __call__(self, size: int) -> None:
        """So many bytes more; ProblemError, 429, if there is no room for them."""
        self._service._take(size)
        self.size += size
        self._request.state.bytes = self.size


async def _gone(request: Request) -> None:
    """Wait until the client has gone; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
