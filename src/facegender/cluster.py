"""Photos analysed on a Ray cluster: the workers of `facegender.inference.workers` as an operator of Ray Data.

The output is a folder of Parquet files, each with the faces of some hundred photos under the columns of
`facegender.formats.records.FACES`. A file is whole or not there, and named after the photos in it, so that a batch
that Ray tries again replaces its own file and doubles nothing. A run goes on by reading which photos are there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facegender.errors import InputError, MissingExtraError
from facegender.faces.types import PhotoResult
from facegender.formats.parquet import ParquetWriter
from facegender.formats.parquet import names as names_in_parquet
from facegender.formats.records import FACES, Record
from facegender.inference.names import Names
from facegender.inference.parts import read_account
from facegender.inference.stage import Task, lost
from facegender.inference.workers import TIME_LIMIT, MakeStage, Pool, chunks_of

#: Photos that are one batch for Ray, and one file of the output.
BATCH_PHOTOS = 512

_NOTE = "run.json"


class ClusterOutput:
    """A folder of Parquet files, on a disk or a store that all machines of the cluster reach.

    Args:
        place: path or URL of the folder; made if it is not there.
        settings: what the results depend on.
        command: to be noted in the folder.
        resume: go on with what is there; otherwise it is removed.

    Raises:
        InputError: what is there came about with other settings, or nobody knows how; or it is a file.
        MissingExtraError: without Ray.
    """

    def __init__(self, place: str, settings: Record, *, command: str = "", resume: bool = True) -> None:
        _require_ray()
        self._store, self.root = _opened(place)
        if self._store.isfile(self.root):
            raise InputError(f"{place} is a file", remedy="--engine ray writes a folder of Parquet files")
        if not resume and self._store.exists(self.root):
            for file in [*self._files(), f"{self.root}/{_NOTE}"]:
                if self._store.exists(file):
                    self._store.rm_file(file)
        settings = json.loads(json.dumps(settings))
        self._store.makedirs(self.root, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            note = Path(folder, _NOTE)
            if self._files():
                if self._store.exists(f"{self.root}/{_NOTE}"):
                    self._store.get_file(f"{self.root}/{_NOTE}", str(note))
                read_account(note, settings)
            note.write_text(json.dumps({"command": command, **settings}, indent=2), encoding="utf-8")
            self._store.put_file(str(note), f"{self.root}/{_NOTE}")
        self._done = Names(self._names())

    def _files(self) -> list[str]:
        return sorted(self._store.glob(f"{self.root}/part-*.parquet"))

    def _names(self) -> Iterator[str]:
        for name in self._files():
            with self._store.open(name, "rb") as file:
                yield from names_in_parquet(file, FACES)

    @property
    def done(self) -> int:
        """How many photos earlier runs left."""
        return self._done.total

    def is_done(self, name: str) -> bool:
        """Whether an earlier run left the photo of this name; one that comes twice is asked for twice."""
        return self._done.take(name)


def analyze_on_ray(
    tasks: Iterable[Task],
    make_stage: MakeStage[Task, PhotoResult],
    place: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    gpus: bool = False,
) -> Iterator[Record]:
    """Analyse photos on a cluster, and write their results into a folder as `ClusterOutput` reads it.

    Args:
        tasks: sources must be within reach of all machines; the list of them is held in memory.
        make_stage: sent to each actor.
        place: path or URL of the folder.
        address: of a running cluster; None takes the one that this process is connected to, or starts one on this
            machine for the time of the run.
        workers: actors with one CPU each; None takes all CPUs of the cluster.
        gpus: one GPU for each actor.

    Yields:
        For each batch that is done, ``photos``, ``faces`` and ``errors`` in it.

    Raises:
        MissingExtraError: without Ray.
        InputError: the cluster cannot be reached, or has nothing free.
    """
    ray = _require_ray()
    batches = [{"tasks": pickle.dumps(batch)} for batch in chunks_of(BATCH_PHOTOS, tasks)]
    if not batches:
        return
    with _cluster(ray, address, workers):
        kind = "GPU" if gpus else "CPU"
        actors = workers or int(ray.cluster_resources().get(kind, 0))
        if actors < 1:
            raise InputError(f"the Ray cluster has no {kind}")
        ray.data.DataContext.get_current().enable_progress_bars = False
        done = ray.data.from_items(batches, override_num_blocks=len(batches)).map_batches(
            _Operator,
            fn_constructor_args=(make_stage, place),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(batches))),
            num_cpus=1,
            num_gpus=1 if gpus else None,
        )
        yield from done.iter_rows()


@contextmanager
def _cluster(ray: Any, address: str | None, cpus: int | None) -> Iterator[None]:
    """The cluster that this process is connected to already, or a connection for the time of the run."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its remarks are on its own ways
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    here = {} if address else {"num_cpus": cpus, "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"no Ray cluster at {address or 'this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


class _Operator:
    """What one actor does: a batch in, a file and its counts out.

    The networks live in a process below the actor, so that a photo that ends it costs an error row and no actor.
    """

    def __init__(self, make_stage: MakeStage[Task, PhotoResult], place: str) -> None:
        self._pool = Pool(make_stage, 1, TIME_LIMIT, lost)
        self._pool.__enter__()
        self._store, self._root = _opened(place)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        [packed] = batch["tasks"]
        records = [result.to_dict() for results in self._pool.run(pickle.loads(packed)) for result in results]
        names = json.dumps([record["path"] for record in records])
        name = f"part-{hashlib.sha256(names.encode()).hexdigest()[:24]}.parquet"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            with ParquetWriter(path, FACES) as writer:
                for record in records:
                    writer.write(record)
            # Under another name first: on a disk, a copy can be cut short.
            self._store.put_file(str(path), f"{self._root}/.{name}.writing")
            self._store.mv(f"{self._root}/.{name}.writing", f"{self._root}/{name}")
        return {
            "photos": [len(records)],
            "faces": [sum(len(record["faces"]) for record in records)],
            "errors": [sum(record["error"] is not None for record in records)],
        }


def _opened(place: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the place in it."""
    import fsspec

    try:
        store, root = fsspec.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise InputError(f"{place} cannot be opened: {error}", remedy="pip install 'facegender[remote]'") from error
    return store, str(root).rstrip("/")


def _require_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "cluster") from error
    return ray
