"""A bounded queue that all requests share, and threads that take batches from it.

A thread with nothing to do takes its share of the queue, up to a few tasks: a single request is answered at once, and
batches grow by themselves under load. There is no timer.
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
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from facegender.errors import FacegenderError

logger = logging.getLogger(__name__)

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
#: One result for each task, in order.
Work: TypeAlias = Callable[[Sequence[TaskT]], Sequence[ResultT]]

#: Seconds before a worker that could not be opened is tried again.
_REOPEN_DELAY = 1.0
#: Weight of earlier batches in the estimate of service times after one more batch.
_DECAY = 0.95


class BatcherClosedError(FacegenderError):
    """The queue takes no more tasks."""

    kind = "draining"


@dataclass(eq=False)
class _Request(Generic[TaskT, ResultT]):
    """Tasks that were submitted together, and their results so far."""

    tasks: Sequence[TaskT]
    submitted: float = field(default_factory=time.monotonic)
    future: Future[list[ResultT]] = field(default_factory=Future)
    results: dict[int, ResultT] = field(default_factory=dict)

    def add(self, index: int, result: ResultT) -> None:
        self.results[index] = result
        if len(self.results) == len(self.tasks):
            with suppress(InvalidStateError):  # it has failed or was cancelled
                self.future.set_result([self.results[index] for index in range(len(self.tasks))])

    def fail(self, error: Exception) -> None:
        with suppress(InvalidStateError):
            self.future.set_exception(error)


_Entry: TypeAlias = tuple[_Request[TaskT, ResultT], int]


class Batcher(Generic[TaskT, ResultT]):
    """Threads that each run a worker and give it batches.

    Args:
        open_worker: a context manager that gives a function for batches; entered and left in its thread.
        on_batch: called after each batch, in its thread, with the seconds that each task waited and those that the
            batch took.
        on_failure: called with the error when a worker cannot be opened for the first time.

    Attributes:
        ready: workers that are open.
        idle: workers without a batch.
        aborted: whether `abort` left tasks undone.
    """

    def __init__(
        self,
        open_worker: Callable[[], AbstractContextManager[Work[TaskT, ResultT]]],
        workers: int,
        max_batch: int,
        size_of: Callable[[TaskT], int],
        on_batch: Callable[[Sequence[float], float], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._open_worker, self._max_batch, self._size_of = open_worker, max_batch, size_of
        self._on_batch, self._on_failure = on_batch, on_failure
        self._queue: deque[_Entry[TaskT, ResultT]] = deque()
        self._running: set[_Entry[TaskT, ResultT]] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._service_time = ServiceTimeEstimator()
        self.ready = self.idle = 0
        self.aborted = False
        self._threads = [
            threading.Thread(target=self._run, name=f"batcher-{number}", daemon=True) for number in range(workers)
        ]

    def start(self) -> None:
        """Start the threads; does not wait for the workers."""
        for thread in self._threads:
            thread.start()

    def submit(self, tasks: Sequence[TaskT]) -> Future[list[ResultT]]:
        """Put tasks at the end of the queue; their results in order, or the error of a batch.

        Raises:
            BatcherClosedError: the batcher is closed.
        """
        request: _Request[TaskT, ResultT] = _Request(tasks)
        with self._changed:
            if self._closed:
                raise BatcherClosedError("the service is about to end")
            self._queue.extend((request, index) for index in range(len(tasks)))
            self._changed.notify(len(tasks))
        return request.future

    def cancel(self, future: Future[list[ResultT]]) -> None:
        """Remove the tasks of a request from the queue."""
        with self._changed:
            future.cancel()
            self._queue = deque(entry for entry in self._queue if entry[0].future is not future)

    def abort(self) -> None:
        """Take no more tasks, and let all requests fail, also those with tasks in a worker."""
        with self._changed:
            self.aborted = bool(self._queue or self._running)
            error = BatcherClosedError("the service ended before this was done")
            for request, _ in self._running:
                request.fail(error)
            self._close(error)

    def close(self, timeout: float) -> bool:
        """Take no more tasks, let queued requests fail, and wait for the threads; whether they ended in time."""
        with self._changed:
            self._close(BatcherClosedError("the service ended before it came to this"))
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def queued(self) -> int:
        """Tasks in the queue."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Tasks in workers."""
        return len(self._running)

    @property
    def expected_wait(self) -> float:
        """Seconds until a worker comes to one more task, by how long tasks took lately; 0 while one is idle."""
        with self._changed:
            if self.idle > len(self._queue):
                return 0.0
            entries = (*self._queue, *self._running)
            return self._service_time.predict(len(entries), self._bytes_of(entries)) / len(self._threads)

    def _bytes_of(self, entries: Sequence[_Entry[TaskT, ResultT]]) -> int:
        return sum(self._size_of(request.tasks[index]) for request, index in entries)

    def _close(self, error: Exception) -> None:
        self._closed = True
        self._fail_queued(error)
        self._changed.notify_all()

    def _fail_queued(self, error: Exception) -> None:
        for request, _ in self._queue:
            request.fail(error)
        self._queue.clear()

    def _run(self) -> None:
        opened_before = False
        while not self._closed:
            opened = False
            try:
                with self._open_worker() as work:
                    opened = opened_before = True
                    self._count_ready(1)
                    try:
                        while batch := self._take():
                            self._process(work, batch)
                    finally:
                        self._count_ready(-1)
            except Exception as error:
                if not opened_before:
                    self._on_failure(error)
                    return
                logger.exception("a worker failed and is opened again")
                if not opened:
                    self._delay(error)

    def _count_ready(self, change: int) -> None:
        with self._changed:
            self.ready += change

    def _delay(self, error: Exception) -> None:
        """Wait before a worker is opened again; without any worker, queued requests fail rather than wait."""
        with self._changed:
            if not self.ready:
                self._fail_queued(error)
            self._changed.wait_for(lambda: self._closed, _REOPEN_DELAY)

    def _take(self) -> list[_Entry[TaskT, ResultT]]:
        """A share of the queue, once it has tasks; nothing once the batcher is closed."""
        with self._changed:
            self.idle += 1
            self._changed.wait_for(lambda: self._queue or self._closed)
            share = math.ceil(len(self._queue) / self.idle)
            self.idle -= 1
            batch = [self._queue.popleft() for _ in range(min(self._max_batch, share))]
            self._running.update(batch)
        return batch

    def _process(self, work: Work[TaskT, ResultT], batch: list[_Entry[TaskT, ResultT]]) -> None:
        """Give a batch to the worker; whatever goes wrong, no request is left without an answer."""
        begun = time.monotonic()
        try:
            try:
                results = work([request.tasks[index] for request, index in batch])
            finally:
                seconds = time.monotonic() - begun
                with self._changed:
                    self._running.difference_update(batch)
            if len(results) != len(batch):
                raise ValueError(f"the worker gave {len(results)} results for {len(batch)} tasks")
            self._on_batch([begun - request.submitted for request, _ in batch], seconds)
            with self._changed:
                self._service_time.update(len(batch), self._bytes_of(batch), seconds)
                for (request, index), result in zip(batch, results, strict=True):
                    request.add(index, result)
        except Exception as error:
            for request, _ in batch:
                request.fail(error)
            raise


class ServiceTimeEstimator:
    """Seconds for each task and for each byte: a photo of twelve megapixels takes as long as fifteen small ones.

    Least squares over the batches, weighted towards the latest.
    """

    def __init__(self) -> None:
        self._squares, self._products = np.zeros((2, 2)), np.zeros(2)
        self._per_task = self._per_byte = 0.0

    def update(self, tasks: int, size: int, seconds: float) -> None:
        """Learn from a batch of `tasks` tasks with `size` bytes together that took `seconds`."""
        batch = np.array([tasks, size], float)
        self._squares = _DECAY * self._squares + np.outer(batch, batch)
        self._products = _DECAY * self._products + seconds * batch
        self._per_task, self._per_byte = float(self._products[0] / self._squares[0, 0]), 0.0
        scale = np.sqrt(np.diag(self._squares))
        if scale[1] == 0 or np.linalg.det(self._squares / np.outer(scale, scale)) < 1e-6:
            return  # all tasks are about alike, and bytes explain nothing
        per_task, per_byte = map(float, np.linalg.solve(self._squares, self._products))
        if per_byte >= 0:
            only_bytes = 0.0, float(self._products[1] / self._squares[1, 1])
            self._per_task, self._per_byte = (per_task, per_byte) if per_task >= 0 else only_bytes

    def predict(self, tasks: int, size: int) -> float:
        """Seconds that `tasks` tasks with `size` bytes together should take; 0 before the first batch."""
        return self._per_task * tasks + self._per_byte * size
