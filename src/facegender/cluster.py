"""Photos analysed on a Ray cluster: worker processes as an operator of Ray Data."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from facegender.errors import FacegenderError, InputError, needs
from facegender.faces.types import PhotoResult
from facegender.inference.engines import Engine
from facegender.inference.tasks import Job, Task, error_result
from facegender.inference.workers import TIME_LIMIT, WorkerPool, chunks_of

#: Photos that are one batch for Ray.
BATCH_PHOTOS = 512


@dataclass(frozen=True)
class RayEngine(Engine):
    """An engine for `facegender.analyze`: actors of a cluster analyse, and this process writes what they find.

    Sources must be within reach of all machines. The list of them is held in memory, and with it the bytes of photos
    in compressed tar archives and in those at URLs. With the device ``cuda`` each
    actor has a GPU.

    Attributes:
        address: of a running cluster; None takes the one that this process is connected to, or starts one on this
            machine for the time of the run.
        workers: actors with one CPU each; None takes all CPUs of the cluster.
        time_limit: seconds after which a photo becomes an error.
    """

    address: str | None = None
    workers: int | None = None
    time_limit: float = TIME_LIMIT

    def run(self, tasks: Iterable[Task], job: Job, /) -> Generator[list[PhotoResult], None, None]:
        """As for `facegender.inference.engines.Engine`.

        Raises:
            MissingExtraError: without Ray.
            InputError: the cluster cannot be reached or has nothing free, or pictures are asked for.
        """
        with needs("ray", "cluster"):
            import ray
            import ray.data
        if job.annotate is not None or job.crops is not None:
            raise InputError("a Ray cluster makes no pictures", remedy="leave out annotate and crops")
        batches = [{"tasks": pickle.dumps(batch)} for batch in chunks_of(BATCH_PHOTOS, tasks)]
        if not batches:
            return
        with _cluster(ray, self.address, self.workers):
            gpus = job.options.device == "cuda"
            kind = "GPU" if gpus else "CPU"
            actors = self.workers or int(ray.cluster_resources().get(kind, 0))
            if actors < 1:
                raise InputError(f"the Ray cluster has no {kind}")
            context = ray.data.DataContext.get_current()
            logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells its plans
            context.enable_progress_bars, context.execution_options.preserve_order = False, True
            done = ray.data.from_items(batches, override_num_blocks=len(batches)).map_batches(
                _Operator,
                fn_constructor_args=(job, self.time_limit),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(actors, len(batches))),
                num_cpus=1,
                num_gpus=1 if gpus else None,
            )
            try:
                for row in done.iter_rows():
                    yield pickle.loads(row["results"])
            except ray.exceptions.RayError as error:
                raise FacegenderError(f"the Ray cluster failed: {error}") from error


@contextmanager
def _cluster(ray: Any, address: str | None, cpus: int | None) -> Iterator[None]:
    """The cluster that this process is connected to already, or a connection for the time of the run."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its remarks are on its own ways
    here = {} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"no Ray cluster at {address or 'this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


class _Operator:
    """What one actor does: a batch of tasks in, their results out.

    The networks live in a process below the actor, so that a photo that crashes it costs an error and no actor.
    """

    def __init__(self, job: Job, time_limit: float) -> None:
        self._pool = WorkerPool(job, 1, time_limit, error_result)
        self._pool.__enter__()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        [packed] = batch["tasks"]
        results = [result for results in self._pool.run(pickle.loads(packed)) for result in results]
        return {"results": [pickle.dumps(results)]}
