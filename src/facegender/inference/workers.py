"""Photos analysed by several processes at once, with results in order and a flat memory.

Each process runs the whole way from the file to the answer with one thread of its own, so that nothing fights for the
cores. Jobs are a few photos each; there are never more of them under way than the bounds here allow. A photo that ends
its process, or keeps it too long, becomes a result with an error, and the run goes on.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Generic, Protocol, Self, TypeVar

import cv2

from facegender.errors import FacegenderError
from facegender.faces.types import PhotoResult
from facegender.inference.pipeline import CHUNK_PHOTOS
from facegender.inference.stage import Task, lost

#: What a process is sent, and what it answers to one; `Task` and `PhotoResult` but in the service.
TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Stage(Protocol[TaskT_contra, ResultT_co]):
    """Works on a few tasks at a time, as `facegender.inference.stage.PhotoStage` does."""

    def __call__(self, tasks: Sequence[TaskT_contra], /) -> Sequence[ResultT_co]:
        """One result a task, in order."""
        ...


class MakeStage(Protocol[TaskT_contra, ResultT_co]):
    """Makes the stage of a process; can be sent to one."""

    def __call__(self, *, threads: int | None) -> Stage[TaskT_contra, ResultT_co]:
        """Make it, with so many CPU threads for its networks; None takes all cores."""
        ...


class Lost(Protocol[TaskT_contra, ResultT_co]):
    """Makes the result of a task that was lost, given the kind of its error and what the task did."""

    def __call__(self, task: TaskT_contra, kind: str, what: str, /) -> ResultT_co: ...


#: Seconds after which a job is given up, and its photos are tried one by one.
TIME_LIMIT = 120.0
#: Seconds in which a process must have begun; on a busy machine it takes many.
_BEGINNING = 120.0
#: Jobs that a process has before it: enough that it never waits while the main process writes.
_AHEAD = 3
#: Jobs done or under way for each process: enough that one slow photo does not hold up the others at once.
_JOBS_PER_WORKER = 8
#: Of OpenMP and of the libraries below NumPy; they are read when a process begins.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def analyze_here(tasks: Iterable[Task], make_stage: MakeStage[Task, PhotoResult]) -> Iterator[Sequence[PhotoResult]]:
    """Analyse photos in this process with all its cores; results come a few photos at a time, in order."""
    stage = make_stage(threads=None)
    for chunk in chunks_of(CHUNK_PHOTOS, tasks):
        yield stage(chunk)


def analyze_in_workers(
    tasks: Iterable[Task], make_stage: MakeStage[Task, PhotoResult], workers: int, time_limit: float = TIME_LIMIT
) -> Iterator[list[PhotoResult]]:
    """Analyse photos in processes of their own; results come a few photos at a time, in order.

    Args:
        tasks: taken only as fast as they are worked on.
        make_stage: sent to each process.
        workers: processes.
        time_limit: seconds that the photos of a job may take together; then each may take as long by itself.

    Raises:
        FacegenderError: what the stage raises; photos that cannot be read are results.
    """
    with Pool(make_stage, workers, time_limit, lost) as pool:
        yield from pool.run(tasks)


def chunks_of(size: int, tasks: Iterable[TaskT]) -> Iterator[list[TaskT]]:
    """The tasks, so many at a time; the last may be fewer."""
    chunk: list[TaskT] = []
    for task in tasks:
        chunk.append(task)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclass
class _Job(Generic[TaskT, ResultT]):
    """Photos that are worked on together, and the results so far by their places."""

    tasks: list[TaskT]
    results: dict[int, ResultT] = field(default_factory=dict)

    def add(self, places: Sequence[int], results: Sequence[ResultT]) -> None:
        self.results.update(zip(places, results, strict=True))

    @property
    def in_order(self) -> list[ResultT] | None:
        """All results, once they are there."""
        whole = len(self.results) == len(self.tasks)
        return [self.results[place] for place in range(len(self.tasks))] if whole else None


@dataclass(frozen=True)
class _Share(Generic[TaskT, ResultT]):
    """Photos of a job that are sent to a process together."""

    job: _Job[TaskT, ResultT]
    places: Sequence[int]

    @property
    def tasks(self) -> list[TaskT]:
        return [self.job.tasks[place] for place in self.places]


class _Worker(Generic[TaskT, ResultT]):
    """A process, what it was sent and has not answered yet, and until when it may take for the first of that."""

    def __init__(self, make_stage: MakeStage[TaskT, ResultT]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make_stage), daemon=True)
        with _one_thread_each():
            self.process.start()
        theirs.close()
        self.ready = False
        self.shares: deque[_Share[TaskT, ResultT]] = deque()
        self.deadline = 0.0

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class Pool(Generic[TaskT, ResultT]):
    """Worker processes; arguments and errors as for `analyze_in_workers`.

    Args:
        lost: the result of a task that ended its process, or kept it too long.
    """

    def __init__(
        self,
        make_stage: MakeStage[TaskT, ResultT],
        workers: int,
        time_limit: float,
        lost: Lost[TaskT, ResultT],
    ) -> None:
        self._make_stage, self._size, self._time_limit, self._lost = make_stage, workers, time_limit, lost
        self._workers: list[_Worker[TaskT, ResultT]] = []
        #: What lost processes leave undone; photos that shared their end are single.
        self._left: deque[_Share[TaskT, ResultT]] = deque()

    def __enter__(self) -> Self:
        self._workers = [_Worker(self._make_stage) for _ in range(self._size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def run(self, tasks: Iterable[TaskT]) -> Iterator[list[ResultT]]:
        """Analyse photos; may be called again when all results have been taken."""
        self._workers = [self._alive(worker) for worker in self._workers]
        chunks = chunks_of(CHUNK_PHOTOS, tasks)
        waiting: deque[_Job[TaskT, ResultT]] = deque()
        exhausted = False
        while waiting or not exhausted:
            for worker in sorted(self._workers, key=lambda worker: len(worker.shares)):
                while len(worker.shares) < _AHEAD:
                    if self._left:
                        self._send(worker, self._left.popleft())
                        continue
                    full = len(waiting) == self._size * _JOBS_PER_WORKER
                    chunk = None if exhausted or full else next(chunks, None)
                    exhausted = exhausted or (chunk is None and not full)
                    if chunk is None:
                        break
                    waiting.append(_Job(chunk))
                    self._send(worker, _Share(waiting[-1], range(len(chunk))))
            while waiting and (results := waiting[0].in_order) is not None:
                waiting.popleft()
                yield results
            self._collect()

    def _alive(self, worker: _Worker[TaskT, ResultT]) -> _Worker[TaskT, ResultT]:
        """The worker, or another where it was ended while it had nothing to do: no task is to blame for that."""
        if worker.process.is_alive() or not worker.ready:
            return worker
        worker.stop()
        return _Worker(self._make_stage)

    def _send(self, worker: _Worker[TaskT, ResultT], share: _Share[TaskT, ResultT]) -> None:
        if not worker.shares:
            worker.deadline = time.monotonic() + (self._time_limit if worker.ready else _BEGINNING)
        worker.shares.append(share)
        with suppress(OSError):  # it has ended, as its pipe will tell
            worker.pipe.send(share.tasks)

    def _collect(self) -> None:
        """Wait until a process has something to say, has ended, or has had its time."""
        busy = [worker for worker in self._workers if worker.shares]
        if not busy:
            return
        left = min(worker.deadline for worker in busy) - time.monotonic()
        talking = wait([worker.pipe for worker in busy], max(0.0, left))
        for worker in busy:
            if worker.pipe in talking:
                self._listen(worker)
            elif time.monotonic() > worker.deadline:
                self._replace(worker, "timeout", f"took longer than {self._time_limit:g} seconds")

    def _listen(self, worker: _Worker[TaskT, ResultT]) -> None:
        try:
            answer: list[ResultT] | Exception | None = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, "crashed", "ended the process that was reading it")
            return
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            worker.ready = True
            worker.deadline = time.monotonic() + self._time_limit
        else:
            share = worker.shares.popleft()
            share.job.add(share.places, answer)
            worker.deadline = time.monotonic() + self._time_limit

    def _replace(self, worker: _Worker[TaskT, ResultT], kind: str, what: str) -> None:
        """Put a new process in the place of a lost one, and find out which photo it was."""
        if not worker.ready:
            raise FacegenderError("a worker process ended before it could begin", remedy="try fewer --workers")
        worker.stop()
        self._workers[self._workers.index(worker)] = _Worker(self._make_stage)
        first, *others = worker.shares
        if len(first.places) > 1:
            self._left.extend(_Share(first.job, [place]) for place in first.places)
        else:
            [task] = first.tasks
            first.job.add(first.places, [self._lost(task, kind, what)])
        self._left.extend(others)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """What a process started meanwhile is told of threads, which its libraries would otherwise start for every core."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, make_stage: MakeStage[TaskT, ResultT]) -> None:
    """The life of a worker process: it ends when its pipe does, also when the main process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    cv2.setNumThreads(1)
    shares: SimpleQueue[list[TaskT] | None] = SimpleQueue()
    with suppress(OSError):
        try:
            stage = make_stage(threads=1)
            gc.freeze()  # what was imported stays: no use in looking at it again and again
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and others speak to the terminal of their own accord
            pipe.send(None)
            # The main process must never wait for this one to take what it is sent: both might wait for ever.
            threading.Thread(target=_receive, args=(pipe, shares), daemon=True).start()
            while (tasks := shares.get()) is not None:
                pipe.send(stage(tasks))
        except Exception as error:
            pipe.send(error)


def _receive(pipe: Connection, shares: SimpleQueue[list[TaskT] | None]) -> None:
    with suppress(EOFError, OSError):
        while True:
            shares.put(pipe.recv())
    shares.put(None)
