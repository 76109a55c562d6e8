"""What a run would do and about how long it would take, found out without writing anything."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from facegender.inference.engines import Engine, Workers
from facegender.inference.journal import Journal, connect_read_only
from facegender.inference.options import Options
from facegender.inference.output import Output
from facegender.inference.run import Collection, output_of, tasks_of
from facegender.inference.tasks import Job, Task, error_result
from facegender.inference.workers import WorkerPool
from facegender.machine import usable_cores

#: Number of photos analysed to estimate the time.
TIMED = 16


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        photos: how many it would list.
        held: how many of them the output holds as they are now, with the pictures that are wanted of them.
        pruned: records that it would drop.
        relabelled: whether it would relabel the records that the output holds.
        timed: photos that were analysed for the estimate.
        seconds: estimate of the time for the photos that would be analysed; None where there are none.
    """

    photos: int
    held: int
    pruned: int
    relabelled: bool
    timed: int
    seconds: float | None

    @property
    def new(self) -> int:
        """Photos that would be analysed."""
        return self.photos - self.held


class _Unwritten(Output):
    """An output that is looked at only: what would be noted in its journal is noted in a copy."""

    def _opened(self) -> Journal:
        base = sqlite3.connect("", check_same_thread=False)  # in memory, or in a file without a name
        if self._resume and self._file.exists():
            self._require_idle()
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder, "journal")
                for suffix in ("", "-journal"):  # the second undoes what a killed run left half written
                    with suppress(FileNotFoundError):
                        shutil.copyfile(f"{self._file}{suffix}", f"{copy}{suffix}")
                with closing(sqlite3.connect(copy)) as copied:
                    copied.backup(base)
        return Journal(base)

    def _require_idle(self) -> None:
        """Raise what a locked journal raises. Other errors, as after a kill, are those of the copy."""
        try:
            with closing(connect_read_only(self._file)) as base:
                base.execute("SELECT 1 FROM sqlite_master")
        except sqlite3.Error as error:
            if error.sqlite_errorname in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                raise

    def _leave(self) -> None:
        self._journal.close()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None and self._prune_wanted:
            self.pruned = self._prune()
        self._leave()


def plan(
    collection: Collection,
    *,
    options: Options,
    engine: Engine,
    output: Path | None = None,
    format: str | None = None,
    resume: bool = True,
    prune: bool = False,
    annotate: Path | None = None,
    crops: Path | None = None,
) -> Plan:
    """What `facegender.analyze` would do with the same arguments; its errors."""
    job = Job(options, annotate, crops)
    held, drawn, new = Counter[str](), list[Task](), 0
    rng = random.Random(0)
    to_file = (
        nullcontext()
        if output is None
        else output_of(_Unwritten, collection, output, options, engine, format=format, resume=resume, prune=prune)
    )
    with to_file as file:
        for new, task in enumerate(tasks_of(collection, job, file, lambda: held.update(["photos"])), 1):
            if new <= TIMED:
                drawn.append(task)
            elif (place := rng.randrange(new)) < TIMED:
                drawn[place] = task
    each = _seconds_each(drawn, replace(job, annotate=None, crops=None), engine) if drawn else None
    return Plan(
        photos=held.total() + new,
        held=held.total(),
        pruned=0 if file is None else file.pruned,
        relabelled=file is not None and file.relabelled,
        timed=len(drawn),
        seconds=None if each is None else each * new,
    )


def _seconds_each(tasks: Sequence[Task], job: Job, engine: Engine) -> float:
    """Seconds for a photo by all processes together, once they run."""
    if isinstance(engine, Workers):
        with WorkerPool(job, 1, engine.time_limit, error_result) as pool:
            list(pool.run(tasks[:1]))  # the process starts
            began = time.monotonic()
            list(pool.run(tasks))
        return (time.monotonic() - began) / len(tasks) / min(engine.workers or usable_cores(), usable_cores())
    began = time.monotonic()
    with closing(engine.run(iter(tasks), job)) as chunks:
        list(chunks)
    return (time.monotonic() - began) / len(tasks)
