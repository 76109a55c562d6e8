"""What does the work of a run: this process, worker processes; elsewhere, a Ray cluster and a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from facegender.errors import InputError
from facegender.faces.types import PhotoResult
from facegender.inference.options import Options
from facegender.inference.tasks import CHUNK_PHOTOS, Job, Task, error_result
from facegender.inference.workers import TIME_LIMIT, MakeHandler, WorkerPool, chunks_of
from facegender.machine import usable_cores

#: So few photos are done by one process before several would have started.
FEW_PHOTOS = 64
#: Photos of archives are counted up to this number of bytes, since they are held in memory until then.
_FEW_BYTES = 64 * 2**20


class Engine(Protocol):
    """Analyses the photos of a run; `facegender.analyze` does the rest."""

    def provenance(self, options: Options) -> dict[str, Any]:
        """What results depend on, as `Options.provenance` has it; errors as there."""
        return options.provenance()

    def run(self, tasks: Iterable[Task], job: Job, /) -> Generator[Sequence[PhotoResult], None, None]:
        """The results in the order of the tasks, some at a time; tasks are taken only as fast as they are handled.

        Raises:
            FacegenderError: what concerns all photos. What concerns one is its result.
        """
        ...


@dataclass(frozen=True)
class InProcess(Engine):
    """Analyses photos in the process that asks, on all its cores. A photo that crashes the process ends the run."""

    def run(
        self, tasks: Iterable[Task], make_handler: MakeHandler[Task, PhotoResult], /
    ) -> Generator[Sequence[PhotoResult], None, None]:
        handler = make_handler(threads=None)
        for chunk in chunks_of(CHUNK_PHOTOS, tasks):
            yield handler(chunk)


@dataclass(frozen=True)
class Workers(Engine):
    """Analyses photos in processes of their own, which a photo may crash without any harm to the others.

    Attributes:
        workers: processes of one thread each. None: one for each core, or a single one that uses all cores where there
            are no more than `FEW_PHOTOS` photos.
        time_limit: seconds after which a photo becomes an error.

    Raises:
        InputError: a number that is not above 0.
    """

    workers: int | None = None
    time_limit: float = TIME_LIMIT

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"at least 1 worker is needed, not {self.workers}")
        if not self.time_limit > 0:
            raise InputError(f"the time limit must be above 0 seconds, not {self.time_limit}")

    def run(
        self, tasks: Iterable[Task], make_handler: MakeHandler[Task, PhotoResult], /
    ) -> Generator[Sequence[PhotoResult], None, None]:
        every = iter(tasks)
        workers = self.workers
        threads: int | None = 1
        if workers is None:
            first, held = deque[Task](), 0
            while len(first) <= FEW_PHOTOS and held < _FEW_BYTES and (task := next(every, None)) is not None:
                first.append(task)
                held += task.source.bytes_in_memory
            if not first:
                return
            few = len(first) <= FEW_PHOTOS and held < _FEW_BYTES
            workers, threads = (1, None) if few else (usable_cores(), 1)
            every = chain(_drained(first), every)
        with WorkerPool(make_handler, workers, self.time_limit, error_result, threads=threads) as pool:
            yield from pool.run(every)


def _drained(tasks: deque[Task]) -> Iterator[Task]:
    """The tasks, each given up once it is taken."""
    while tasks:
        yield tasks.popleft()
