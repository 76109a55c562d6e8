"""A bounded queue that all requests share, and lanes that take from it.

A lane takes its share of whatever waits, up to a few tasks, as soon as it has nothing to do: with one request at a time
every answer comes at once, and under load the batches grow by themselves. There is no timer.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

from facegender.errors import FacegenderError
from facegender.server.pace import Pace

logger = logging.getLogger(__name__)

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
#: One result a task, in order.
Work: TypeAlias = Callable[[Sequence[TaskT]], Sequence[ResultT]]

#: Seconds after which a lane that failed is opened again.
_PAUSE = 1.0


class Watcher(Protocol):
    """Is told what the lanes do; called in their threads."""

    def batch(self, tasks: int, waited: Sequence[float], seconds: float) -> None:
        """So many tasks took so many seconds together, after each had waited so long."""


class LanesClosedError(FacegenderError):
    """The queue takes nothing any more."""

    kind = "draining"


@dataclass(eq=False)
class Ticket(Generic[TaskT, ResultT]):
    """The tasks of one request, and what comes of them.

    Attributes:
        future: the results in order; the error that a lane failed with; or cancelled, with `Lanes.drop`.
    """

    tasks: Sequence[TaskT]
    since: float = field(default_factory=time.monotonic)
    future: Future[list[ResultT]] = field(default_factory=Future)
    _results: dict[int, ResultT] = field(default_factory=dict)

    def add(self, place: int, result: ResultT) -> None:
        """Take the result of a task; by one thread at a time."""
        self._results[place] = result
        if len(self._results) == len(self.tasks):
            with suppress(InvalidStateError):  # it has failed, or nobody waits any more
                self.future.set_result([self._results[place] for place in range(len(self.tasks))])

    def fail(self, error: Exception) -> None:
        """Let it end with an error, unless it has ended."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


class Lanes(Generic[TaskT, ResultT]):
    """Threads that work on tasks, a few at a time.

    Args:
        open_lane: a context in which the function it gives works on tasks; entered and left in the lane's thread.
        count: lanes.
        chunk: tasks that a lane takes at a time.
        size: bytes of a task.
        watcher: is told of each batch.
        on_failure: called in a lane's thread if it cannot be opened at first, with the error.
    """

    def __init__(
        self,
        open_lane: Callable[[], AbstractContextManager[Work[TaskT, ResultT]]],
        count: int,
        chunk: int,
        size: Callable[[TaskT], int],
        watcher: Watcher,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._open_lane, self._count, self._chunk, self._size = open_lane, count, chunk, size
        self._watcher, self._on_failure = watcher, on_failure
        self._waiting: deque[tuple[Ticket[TaskT, ResultT], int]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._at_work: set[tuple[Ticket[TaskT, ResultT], int]] = set()
        #: Whether something was left undone.
        self.gave_up = False
        self._pace = Pace()
        self._open = 0
        self._idle = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Open the lanes; does not wait for them."""
        self._threads = [
            threading.Thread(target=self._run, name=f"lane-{number}", daemon=True) for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, tasks: Sequence[TaskT]) -> Ticket[TaskT, ResultT]:
        """Put tasks at the end of the queue.

        Raises:
            LanesClosedError: the lanes are closed.
        """
        ticket: Ticket[TaskT, ResultT] = Ticket(tasks)
        with self._changed:
            if self._closed:
                raise LanesClosedError("the service is about to end")
            self._waiting.extend((ticket, place) for place in range(len(tasks)))
            self._changed.notify(len(tasks))
        return ticket

    def drop(self, ticket: Ticket[TaskT, ResultT]) -> None:
        """Take the tasks of a request that nobody waits for any more out of the queue."""
        with self._changed:
            ticket.future.cancel()
            if any(waiting is ticket for waiting, _ in self._waiting):
                self._waiting = deque(each for each in self._waiting if each[0] is not ticket)

    def give_up(self) -> None:
        """Take nothing more, and let all that is not done fail, also what is being worked on."""
        with self._changed:
            self._closed = True
            self.gave_up = bool(self._waiting or self._at_work)
            for ticket, _ in (*self._waiting, *self._at_work):
                ticket.fail(LanesClosedError("the service ended before this was done"))
            self._waiting.clear()
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Take nothing more, let what waits fail, and wait for the lanes to end; whether they did in time."""
        with self._changed:
            self._closed = True
            self._fail_waiting(LanesClosedError("the service ended before it came to this"))
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def open(self) -> int:
        """Lanes that are ready or at work."""
        return self._open

    @property
    def idle(self) -> int:
        """Lanes that have nothing to do."""
        return self._idle

    @property
    def waiting(self) -> int:
        """Tasks in the queue."""
        return len(self._waiting)

    @property
    def working(self) -> int:
        """Tasks that are being worked on."""
        return len(self._at_work)

    @property
    def expected_wait(self) -> float:
        """Seconds until a lane comes to one more task, by what tasks have taken lately; none if one is idle."""
        with self._changed:
            if self._idle > len(self._waiting):
                return 0.0
            before = (*self._waiting, *self._at_work)
            size = sum(self._size(ticket.tasks[place]) for ticket, place in before)
            return self._pace.seconds(len(before), size) / self._count

    def _run(self) -> None:
        ever = False
        while not self._closed:
            opened = False
            try:
                with self._open_lane() as work:
                    ever = opened = True
                    self._count_open(1)
                    try:
                        while batch := self._take():
                            self._work(work, batch)
                    finally:
                        self._count_open(-1)
            except Exception as error:
                if not ever:
                    self._on_failure(error)
                    return
                logger.exception("a lane failed, and is opened again")
                if not opened:
                    self._pause(error)

    def _pause(self, error: Exception) -> None:
        """Wait before a lane is opened once more that could not be; if it was the last, nobody else should wait."""
        with self._changed:
            if not self._open:
                self._fail_waiting(error)
            self._changed.wait_for(lambda: self._closed, _PAUSE)

    def _count_open(self, change: int) -> None:
        with self._changed:
            self._open += change

    def _fail_waiting(self, error: Exception) -> None:
        for ticket, _ in self._waiting:
            ticket.fail(error)
        self._waiting.clear()

    def _take(self) -> list[tuple[Ticket[TaskT, ResultT], int]]:
        """A share of what waits, up to a chunk, once something does; nothing when the lanes are closed."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = math.ceil(len(self._waiting) / self._idle)
            self._idle -= 1
            batch = [self._waiting.popleft() for _ in range(min(self._chunk, share))]
            self._at_work.update(batch)
        return batch

    def _work(self, work: Work[TaskT, ResultT], batch: list[tuple[Ticket[TaskT, ResultT], int]]) -> None:
        begun = time.monotonic()
        try:
            results = work([ticket.tasks[place] for ticket, place in batch])
        except Exception as error:
            for ticket, _ in batch:
                ticket.fail(error)
            raise
        finally:
            seconds = time.monotonic() - begun
            with self._changed:
                self._at_work.difference_update(batch)
        self._watcher.batch(len(batch), [begun - ticket.since for ticket, _ in batch], seconds)
        with self._changed:
            self._pace.learn(len(batch), sum(self._size(ticket.tasks[place]) for ticket, place in batch), seconds)
            for (ticket, place), result in zip(batch, results, strict=True):
                ticket.add(place, result)
