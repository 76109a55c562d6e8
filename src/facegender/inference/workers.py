"""Worker processes: tasks are handled by several at once, with results in order and a flat memory.

Tasks are sent in chunks; there are never more of them under way than the bounds here allow. A task that ends its
process, or takes too long, has a result with an error, and the run goes on.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from types import ModuleType
from typing import Any, Generic, Protocol, Self, TypeVar

import cv2

from facegender.errors import FacegenderError, InputError
from facegender.inference.tasks import CHUNK_PHOTOS

#: What a process is sent, and what it answers to one; `Task` and `PhotoResult` but in the service.
TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)
ValueT = TypeVar("ValueT")


class Handler(Protocol[TaskT_contra, ResultT_co]):
    """Handles a few tasks at a time, as `facegender.inference.handler.PhotoHandler` does."""

    def __call__(self, tasks: Sequence[TaskT_contra], /) -> Sequence[ResultT_co]:
        """One result a task, in order."""
        ...


class MakeHandler(Protocol[TaskT_contra, ResultT_co]):
    """Makes the handler of a process; can be sent to one."""

    def __call__(self, *, threads: int | None) -> Handler[TaskT_contra, ResultT_co]:
        """Make it, with so many CPU threads for its networks; None takes all cores."""
        ...


class MakeError(Protocol[TaskT_contra, ResultT_co]):
    """Makes the result of a task that ended its process or took too long: the kind of error, and what the task did."""

    def __call__(self, task: TaskT_contra, kind: str, what: str, /) -> ResultT_co: ...


#: Seconds after which a chunk is given up, and its tasks are tried one by one.
TIME_LIMIT = 120.0
#: Seconds in which a process must have begun; on a busy machine it takes many.
_BEGINNING = 120.0
#: Chunks that a process has been sent: enough that it never waits while the main process writes.
_AHEAD = 3
#: Chunks done or under way for each process: enough that one slow task does not hold up the others at once.
_CHUNKS_PER_WORKER = 8
#: Of OpenMP and of the libraries below NumPy; they are read when a process begins.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
class _Chunk(Generic[TaskT, ResultT]):
    """Tasks that were taken together, and the results so far by their places."""

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
class _Request(Generic[TaskT, ResultT]):
    """Tasks of a chunk that are sent to a process together."""

    chunk: _Chunk[TaskT, ResultT]
    places: Sequence[int]

    @property
    def tasks(self) -> list[TaskT]:
        return [self.chunk.tasks[place] for place in self.places]


class _Worker(Generic[TaskT, ResultT]):
    """A process, what it was sent and has not answered yet, and until when it may take for the first of that."""

    def __init__(self, make_handler: bytes, threads: int | None) -> None:
        fork = threads is None and _may_fork()
        context = multiprocessing.get_context("fork") if fork else multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make_handler, threads, fork), daemon=True)
        with _start_conditions(one_thread=threads == 1, main=b"__main__" in make_handler):
            self.process.start()
        theirs.close()
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
        make_handler: sent to each process.
        workers: processes.
        time_limit: seconds that the tasks of a chunk may take together; then each may take as long by itself.
        make_error: the result of a task that ended its process, or took too long.
        threads: CPU threads of each process; None takes all cores.

    Raises:
        InputError: the handler cannot be sent to a process.
    """

    def __init__(
        self,
        make_handler: MakeHandler[TaskT, ResultT],
        workers: int,
        time_limit: float,
        make_error: MakeError[TaskT, ResultT],
        *,
        threads: int | None = 1,
    ) -> None:
        try:
            self._make_handler = pickle.dumps(make_handler)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InputError(
                f"what analyses the photos cannot be sent to a worker process: {error}",
                remedy="a detector object must be one that pickle takes; or analyse with engine=InProcess()",
            ) from error
        self._size, self._time_limit, self._make_error, self._threads = workers, time_limit, make_error, threads
        self._workers: list[_Worker[TaskT, ResultT]] = []
        #: What crashed processes leave undone; tasks of a chunk that did are single.
        self._left: deque[_Request[TaskT, ResultT]] = deque()

    def _started(self) -> _Worker[TaskT, ResultT]:
        return _Worker(self._make_handler, self._threads)

    def __enter__(self) -> Self:
        self._workers = [self._started() for _ in range(self._size)]
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
        self._workers = [self._alive(worker) for worker in self._workers]
        chunks = chunks_of(CHUNK_PHOTOS, tasks)
        waiting: deque[_Chunk[TaskT, ResultT]] = deque()
        exhausted = False
        while waiting or not exhausted:
            for worker in sorted(self._workers, key=lambda worker: len(worker.requests)):
                while len(worker.requests) < _AHEAD:
                    if self._left:
                        self._send(worker, self._left.popleft())
                        continue
                    full = len(waiting) == self._size * _CHUNKS_PER_WORKER
                    chunk = None if exhausted or full else next(chunks, None)
                    exhausted = exhausted or (chunk is None and not full)
                    if chunk is None:
                        break
                    waiting.append(_Chunk(chunk))
                    self._send(worker, _Request(waiting[-1], range(len(chunk))))
            while waiting and (results := waiting[0].in_order) is not None:
                waiting.popleft()
                yield results
            self._collect()

    def _alive(self, worker: _Worker[TaskT, ResultT]) -> _Worker[TaskT, ResultT]:
        """The worker, or another where it was ended while it had nothing to do: no task is to blame for that."""
        if worker.process.is_alive() or not worker.ready:
            return worker
        worker.stop()
        return self._started()

    def _send(self, worker: _Worker[TaskT, ResultT], request: _Request[TaskT, ResultT]) -> None:
        if not worker.requests:
            worker.deadline = time.monotonic() + (self._time_limit if worker.ready else _BEGINNING)
        worker.requests.append(request)
        with suppress(OSError):  # it has ended, as its pipe will tell
            worker.pipe.send(request.tasks)

    def _collect(self) -> None:
        """Wait until a process has something to say, has ended, or has had its time."""
        busy = [worker for worker in self._workers if worker.requests]
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
            request = worker.requests.popleft()
            request.chunk.add(request.places, answer)
            worker.deadline = time.monotonic() + self._time_limit

    def _replace(self, worker: _Worker[TaskT, ResultT], kind: str, what: str) -> None:
        """Replace a process that crashed or took too long, and find out which of its tasks was the reason."""
        if not worker.ready:
            raise FacegenderError("a worker process ended before it could begin", remedy="try fewer --workers")
        worker.stop()
        self._workers[self._workers.index(worker)] = self._started()
        first, *others = worker.requests
        if len(first.places) > 1:
            self._left.extend(_Request(first.chunk, [place]) for place in first.places)
        else:
            [task] = first.tasks
            first.chunk.add(first.places, [self._make_error(task, kind, what)])
        self._left.extend(others)


#: Their threads, or those that they start, do not survive a fork.
_WITH_THREADS = frozenset({"onnxruntime", "openvino", "pyarrow", "ray", "torch", "av"})


def _may_fork() -> bool:
    """Whether a copy of this process, which has imported everything already, can work: it saves the start of Python."""
    alone = threading.active_count() == 1 and _WITH_THREADS.isdisjoint(sys.modules)
    return sys.platform == "linux" and alone


def _close_others(pipe: Connection) -> None:
    """Close the files of the process that this one is a copy of; its end of the pipe is among them."""
    own = pipe.fileno()
    for each in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 (names are enough)
        if each > 2 and each != own:
            with suppress(OSError):
                os.close(each)


#: Starting a process changes what belongs to this one for a moment.
_starting = threading.Lock()


@contextmanager
def _start_conditions(*, one_thread: bool, main: bool) -> Iterator[None]:
    """What holds while a process is started.

    Args:
        one_thread: its libraries must not start a thread for every core.
        main: it needs the module of the program that was started. Otherwise that is not imported: it costs time, and
            a script without ``if __name__ == "__main__"`` would start itself again.
    """
    with _starting, ExitStack() as stack:
        if one_thread:
            stack.enter_context(_replaced(os.environ, dict.fromkeys(_THREADS, "1")))
        if not main:
            stack.enter_context(_replaced(sys.modules, {"__main__": ModuleType("__main__")}))
        stack.enter_context(warnings.catch_warnings(action="ignore", category=DeprecationWarning))  # on forks
        if threading.current_thread() is threading.main_thread():
            # Ctrl-C reaches all processes of a terminal; this one decides, also while the new one imports.
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_IGN))
        yield


@contextmanager
def _replaced(mapping: MutableMapping[str, ValueT], values: Mapping[str, ValueT]) -> Iterator[None]:
    """Some values of a mapping are others meanwhile."""
    before = {name: mapping[name] for name in values if name in mapping}
    mapping.update(values)
    try:
        yield
    finally:
        for name in values.keys() - before.keys():
            del mapping[name]
        mapping.update(before)


def _serve(pipe: Connection, make_handler: bytes, threads: int | None, forked: bool) -> None:
    """Run a worker process: it ends when its pipe does, also when the main process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    if forked:
        _close_others(pipe)
    if threads is not None:
        cv2.setNumThreads(threads)
    requests: SimpleQueue[list[Any]] = SimpleQueue()
    with suppress(OSError):
        try:
            handler = pickle.loads(make_handler)(threads=threads)
            gc.freeze()  # what was imported stays: no use in looking at it again and again
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # image libraries write to the terminal of their own accord
            pipe.send(None)
            # The main process must never wait for this one to take what it is sent: both might wait for ever.
            threading.Thread(target=_receive, args=(pipe, requests), daemon=True).start()
            while True:
                pipe.send(handler(requests.get()))
        except Exception as error:
            pipe.send(error)


def _receive(pipe: Connection, requests: SimpleQueue[list[Any]]) -> None:
    """Take what the process is sent. Once nobody is there to answer, it ends, whatever it is at."""
    with suppress(EOFError, OSError):
        while True:
            requests.put(pipe.recv())
    os._exit(0)
