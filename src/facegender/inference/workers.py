"""A pool of worker processes with results in order and bounded memory.

Tasks are sent in chunks, and the number of chunks under way is limited. A task that crashes its process, or takes too
long, has a result with an error, and the run continues.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Generic, Protocol, Self, TypeVar

from facegender.errors import FacegenderError, InputError
from facegender.inference import worker_process
from facegender.inference.tasks import CHUNK_PHOTOS

#: A task and its result: `Task` and `PhotoResult`, except in the service.
TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)


class MakeHandler(Protocol[TaskT_contra, ResultT_co]):
    """Makes what handles the tasks of a process, as `facegender.inference.tasks.Job` does; can be pickled."""

    def __call__(self, *, threads: int | None) -> Callable[[Sequence[TaskT_contra]], Sequence[ResultT_co]]:
        """Make it, with `threads` CPU threads for its networks; None takes all cores. It gives a result a task."""
        ...


#: Seconds after which a chunk is stopped, and its tasks are tried one by one.
TIME_LIMIT = 120.0
#: Seconds in which a process must be ready; on a busy machine it takes many.
_START_TIMEOUT = 120.0
#: Seconds that a task has by itself, however little is left for all of its chunk.
_LEAST_ALONE = 0.5
#: Chunks sent to a process: enough that it never waits while the main process writes.
_PREFETCH = 3
#: A chunk also ends at this number of bytes: photos of archives are held in memory.
CHUNK_BYTES = 16 * 2**20
#: Chunks done or under way for each process: enough that one slow task does not hold up the others at once.
_CHUNKS_PER_WORKER = 8


def chunks_of(size: int, tasks: Iterable[TaskT]) -> Iterator[list[TaskT]]:
    """The tasks in lists of `size`, or of fewer that hold `CHUNK_BYTES`; the last may be shorter."""
    chunk: list[TaskT] = []
    held = 0
    for task in tasks:
        chunk.append(task)
        held += getattr(getattr(task, "source", None), "bytes_in_memory", 0)
        if len(chunk) == size or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


@dataclass
class _Chunk(Generic[TaskT, ResultT]):
    """Tasks that were taken together: those without a result, and the results, by index.

    Attributes:
        alone_until: by when tasks that are tried one by one must be done; None while they are not.
    """

    tasks: dict[int, TaskT]
    results: dict[int, ResultT] = field(default_factory=dict)
    alone_until: float | None = None

    def add(self, places: Sequence[int], results: Sequence[ResultT]) -> None:
        self.results.update(zip(places, results, strict=True))
        for place in places:
            del self.tasks[place]  # with the bytes that it holds

    @property
    def in_order(self) -> list[ResultT] | None:
        """All results, once they are there."""
        return None if self.tasks else [self.results[place] for place in range(len(self.results))]


@dataclass(frozen=True)
class _Request(Generic[TaskT, ResultT]):
    """Tasks of a chunk that are sent to a process together."""

    chunk: _Chunk[TaskT, ResultT]
    places: Sequence[int]

    @property
    def tasks(self) -> list[TaskT]:
        return [self.chunk.tasks[place] for place in self.places]


class _Worker(Generic[TaskT, ResultT]):
    """A process, the requests that it has not answered, and the deadline of the first of them."""

    def __init__(self, make_handler: bytes, threads: int | None) -> None:
        self.process, self.pipe = worker_process.start(make_handler, threads)
        self.ready = False
        self.requests: deque[_Request[TaskT, ResultT]] = deque()
        self.deadline = 0.0

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class WorkerPool(Generic[TaskT, ResultT]):
    """Worker processes.

    Args:
        time_limit: seconds that the tasks of a chunk may take together; then they are tried one by one.
        alone_limit: seconds for all of those tasks; None: `time_limit` for each.
        make_error: the result of a task that crashed its process or took too long, given the kind of error and what the
            task did.
        threads: CPU threads of each process; None takes all cores.

    Raises:
        InputError: the handler cannot be sent to a process.
    """

    def __init__(
        self,
        make_handler: MakeHandler[TaskT, ResultT],
        workers: int,
        time_limit: float,
        make_error: Callable[[TaskT, str, str], ResultT],
        *,
        threads: int | None = 1,
        alone_limit: float | None = None,
    ) -> None:
        try:
            self._make_handler = pickle.dumps(make_handler)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InputError(
                f"what analyses the photos cannot be sent to a worker process: {error}",
                remedy="a detector object must be one that pickle takes; or analyse with engine=InProcess()",
            ) from error
        # Before Python 3.13, Windows waits for at most 63 pipes.
        few = sys.platform == "win32" and sys.version_info < (3, 13)
        self._size = min(workers, 60) if few else workers
        self._time_limit, self._alone_limit = time_limit, alone_limit
        self._make_error, self._threads = make_error, threads
        self._workers: list[_Worker[TaskT, ResultT]] = []
        #: Requests of processes that crashed; the one that crashed it is split into single tasks.
        self._retries: deque[_Request[TaskT, ResultT]] = deque()

    def _start_worker(self) -> _Worker[TaskT, ResultT]:
        try:
            return _Worker(self._make_handler, self._threads)
        except OSError as error:
            reason = error.strerror or error
            raise FacegenderError(f"a process cannot be started: {reason}", remedy="try fewer --workers") from error

    def __enter__(self) -> Self:
        try:
            for _ in range(self._size):
                self._workers.append(self._start_worker())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def run(self, tasks: Iterable[TaskT]) -> Iterator[list[ResultT]]:
        """Results a chunk at a time, in order; may be called again when all have been taken.

        Args:
            tasks: taken only as fast as they are handled.

        Raises:
            FacegenderError: what the handler raises, or a process cannot be started.
        """
        self._workers = [self._replace_if_ended(worker) for worker in self._workers]
        chunks = chunks_of(CHUNK_PHOTOS, tasks)
        waiting: deque[_Chunk[TaskT, ResultT]] = deque()
        exhausted = False
        while waiting or not exhausted:
            for worker in sorted(self._workers, key=lambda worker: len(worker.requests)):
                while len(worker.requests) < _PREFETCH:
                    if self._retries:
                        self._send(worker, self._retries.popleft())
                        continue
                    full = len(waiting) == self._size * _CHUNKS_PER_WORKER
                    chunk = None if exhausted or full else next(chunks, None)
                    exhausted = exhausted or (chunk is None and not full)
                    if chunk is None:
                        break
                    waiting.append(_Chunk(dict(enumerate(chunk))))
                    self._send(worker, _Request(waiting[-1], range(len(chunk))))
            while waiting and (results := waiting[0].in_order) is not None:
                waiting.popleft()
                yield results
            self._collect()

    def _replace_if_ended(self, worker: _Worker[TaskT, ResultT]) -> _Worker[TaskT, ResultT]:
        """The worker, or a new one if its process ended while it was idle, which no task caused."""
        if worker.process.is_alive() or not worker.ready:
            return worker
        worker.stop()
        return self._start_worker()

    def _send(self, worker: _Worker[TaskT, ResultT], request: _Request[TaskT, ResultT]) -> None:
        worker.requests.append(request)
        if len(worker.requests) == 1:
            worker.deadline = self._deadline(worker)
        with suppress(OSError):  # it has ended, which reading the pipe will show
            worker.pipe.send(request.tasks)

    def _deadline(self, worker: _Worker[TaskT, ResultT]) -> float:
        """By when the process must have answered its first request."""
        now = time.monotonic()
        if not worker.ready:
            return now + _START_TIMEOUT
        chunk = worker.requests[0].chunk
        if chunk.alone_until is None:
            return now + self._time_limit
        return now + min(self._time_limit, max(_LEAST_ALONE, (chunk.alone_until - now) / len(chunk.tasks)))

    def _collect(self) -> None:
        """Wait until a process has results, has ended, or has reached its deadline."""
        busy = [worker for worker in self._workers if worker.requests]
        if not busy:
            return
        seconds = min(worker.deadline for worker in busy) - time.monotonic()
        readable = wait([worker.pipe for worker in busy], max(0.0, seconds))
        for worker in busy:
            if worker.pipe in readable:
                self._receive(worker)
            elif time.monotonic() > worker.deadline:
                shared = worker.ready and worker.requests[0].chunk.alone_until is not None
                limit = f"its share of {self._alone_limit:g}" if shared else f"{self._time_limit:g}"
                self._replace(worker, "timeout", f"took longer than {limit} seconds")

    def _receive(self, worker: _Worker[TaskT, ResultT]) -> None:
        try:
            answer: list[ResultT] | Exception | None = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, "crashed", "ended the process that was reading it")
            return
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            worker.ready = True
        else:
            request = worker.requests.popleft()
            request.chunk.add(request.places, answer)
        if worker.requests:
            worker.deadline = self._deadline(worker)

    def _replace(self, worker: _Worker[TaskT, ResultT], kind: str, what: str) -> None:
        """Replace a process that crashed or took too long; the tasks of its first request are retried one by one."""
        if not worker.ready:
            raise FacegenderError("a worker process ended before it could begin", remedy="try fewer --workers")
        worker.stop()
        self._workers[self._workers.index(worker)] = self._start_worker()
        first, *others = worker.requests
        if len(first.places) > 1:
            if self._alone_limit is not None:
                first.chunk.alone_until = time.monotonic() + self._alone_limit
            self._retries.extend(_Request(first.chunk, [place]) for place in first.places)
        else:
            [task] = first.tasks
            first.chunk.add(first.places, [self._make_error(task, kind, what)])
        self._retries.extend(others)
