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
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Protocol, Self

import cv2

from facegender.errors import FacegenderError
from facegender.faces.types import PhotoResult
from facegender.inference.pipeline import CHUNK_PHOTOS
from facegender.inference.stage import PhotoStage, Task, lost


class MakeStage(Protocol):
    """Makes the stage of a process; can be sent to one."""

    def __call__(self, *, threads: int | None) -> PhotoStage:
        """Make it, with so many CPU threads for its networks; None takes all cores."""
        ...


#: Seconds after which a job is given up, and its photos are tried one by one.
TIME_LIMIT = 120.0
#: Jobs done or under way for each process: enough that one slow photo does not hold up the others at once.
_JOBS_PER_WORKER = 8


def analyze_here(tasks: Iterable[Task], make_stage: MakeStage) -> Iterator[list[PhotoResult]]:
    """Analyse photos in this process with all its cores; results come a few photos at a time, in order."""
    stage = make_stage(threads=None)
    for chunk in _chunks(tasks):
        yield stage(chunk)


def analyze_in_workers(
    tasks: Iterable[Task], make_stage: MakeStage, workers: int, time_limit: float = TIME_LIMIT
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
    with Pool(make_stage, workers, time_limit) as pool:
        yield from pool.run(tasks)


def _chunks(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    chunk: list[Task] = []
    for task in tasks:
        chunk.append(task)
        if len(chunk) == CHUNK_PHOTOS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclass
class _Job:
    """Photos that are worked on together, and the results so far by their places."""

    tasks: list[Task]
    results: dict[int, PhotoResult] = field(default_factory=dict)

    def add(self, places: Sequence[int], results: Sequence[PhotoResult]) -> None:
        self.results.update(zip(places, results, strict=True))

    @property
    def in_order(self) -> list[PhotoResult] | None:
        """All results, once they are there."""
        whole = len(self.results) == len(self.tasks)
        return [self.results[place] for place in range(len(self.tasks))] if whole else None


class _Worker:
    """A process, what it is working on, and until when it may."""

    def __init__(self, make_stage: MakeStage) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make_stage), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False
        self.job: _Job | None = None
        self.places: list[int] = []
        self.deadline = 0.0

    def stop(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class Pool:
    """Worker processes; arguments and errors as for `analyze_in_workers`."""

    def __init__(self, make_stage: MakeStage, workers: int, time_limit: float) -> None:
        self._make_stage, self._size, self._time_limit = make_stage, workers, time_limit
        self._workers: list[_Worker] = []
        #: Photos that shared a job with one that ended its process: each is tried by itself.
        self._suspects: deque[tuple[_Job, int]] = deque()

    def __enter__(self) -> Self:
        self._workers = [_Worker(self._make_stage) for _ in range(self._size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def run(self, tasks: Iterable[Task]) -> Iterator[list[PhotoResult]]:
        """Analyse photos; may be called again when all results have been taken."""
        chunks = _chunks(tasks)
        waiting: deque[_Job] = deque()
        more = True
        while more or waiting:
            for worker in [worker for worker in self._workers if worker.job is None]:
                if self._suspects:
                    job, place = self._suspects.popleft()
                    self._send(worker, job, [place])
                elif more and len(waiting) < self._size * _JOBS_PER_WORKER:
                    chunk = next(chunks, None)
                    if chunk is None:
                        more = False
                    else:
                        waiting.append(_Job(chunk))
                        self._send(worker, waiting[-1], list(range(len(chunk))))
            while waiting and (results := waiting[0].in_order) is not None:
                waiting.popleft()
                yield results
            self._collect()

    def _send(self, worker: _Worker, job: _Job, places: list[int]) -> None:
        worker.job, worker.places, worker.deadline = job, places, time.monotonic() + self._time_limit
        try:
            worker.pipe.send([job.tasks[place] for place in places])
        except OSError:
            self._replace(worker, *_CRASHED)

    def _collect(self) -> None:
        """Wait until a process has something to say, has ended, or has had its time."""
        busy = [worker for worker in self._workers if worker.job is not None]
        if not busy:
            return
        left = min(worker.deadline for worker in busy) - time.monotonic()
        talking = wait([worker.pipe for worker in busy], max(0.0, left))
        for worker in busy:
            if worker.pipe in talking:
                self._listen(worker)
            elif time.monotonic() > worker.deadline:
                self._replace(worker, "timeout", f"took longer than {self._time_limit:g} seconds")

    def _listen(self, worker: _Worker) -> None:
        try:
            answer: list[PhotoResult] | Exception | None = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, *_CRASHED)
            return
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            worker.ready = True
        elif worker.job is not None:
            worker.job.add(worker.places, answer)
            worker.job = None

    def _replace(self, worker: _Worker, kind: str, what: str) -> None:
        """Put a new process in the place of a lost one, and find out which photo it was."""
        if not worker.ready:
            raise FacegenderError("a worker process ended before it could begin", remedy="try fewer --workers")
        worker.stop()
        self._workers[self._workers.index(worker)] = _Worker(self._make_stage)
        job, places = worker.job, worker.places
        if job is None:
            return
        if len(places) > 1:
            self._suspects.extend((job, place) for place in places)
        else:
            task = job.tasks[places[0]]
            job.add(places, [lost(task, kind, f"{task.source.name} {what}")])


_CRASHED = ("crashed", "ended the process that was reading it")


def _serve(pipe: Connection, make_stage: MakeStage) -> None:
    """The life of a worker process: it ends when its pipe does, also when the main process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    cv2.setNumThreads(1)
    with suppress(OSError):
        try:
            stage = make_stage(threads=1)
            gc.freeze()  # what was imported stays: no use in looking at it again and again
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff and others speak to the terminal of their own accord
            pipe.send(None)
            while True:
                pipe.send(stage(pipe.recv()))
        except EOFError:
            pass
        except Exception as error:
            pipe.send(error)
