import os
import signal
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from facegender.errors import FacegenderError, OutputError, WeightsError
from facegender.faces.types import PhotoResult
from facegender.inference.engines import InProcess, Workers
from facegender.inference.options import Options
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.tasks import CHUNK_PHOTOS, Job, Task, error_result
from facegender.inference.workers import CHUNK_BYTES, WorkerPool, chunks_of
from facegender.sources import Source
from facegender.sources.source import InMemory

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Scripted:
    """A handler that does what the names of its photos say."""

    threads: int | None

    def __call__(self, tasks):
        return [self.one(task) for task in tasks]

    def one(self, task):
        match task.source.name.split():
            case ["die", *_]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["hang", *_]:
                signal.pause()
            case ["refuse", *_]:
                raise OutputError("no space")
            case ["threads", *_]:
                values = [os.environ[name] for name in THREAD_VARIABLES]
                return PhotoResult(f"{values} {len([*Path('/proc/self/task').iterdir()])}")
            case ["note", path, *_]:
                with Path(path).open("a") as file:
                    file.write(f"{os.getpid()}\n")
        return PhotoResult(task.source.name, weight=task.weight)


def tasks(names):
    return [Task(Source.file(name), weight=number) for number, name in enumerate(names)]


def names(results):
    return [result.path for chunk in results for result in chunk]


def errors(results):
    return {result.path: result.error.kind for chunk in results for result in chunk if result.error}


@pytest.mark.usefixtures("warm")
def test_results_come_in_order_from_several_processes(tmp_path):
    wanted = [f"note {tmp_path / 'who'} {number}" for number in range(10 * CHUNK_PHOTOS + 1)]
    results = list(Workers(3).run(tasks(wanted), Scripted))
    assert names(results) == wanted
    assert [r.weight for chunk in results for r in chunk] == list(range(len(wanted)))
    assert os.getpid() not in map(int, (tmp_path / "who").read_text().split())
    assert names(InProcess().run(tasks(wanted[:3]), Scripted)) == wanted[:3]


@pytest.mark.usefixtures("warm")
def test_a_photo_that_ends_its_process_costs_no_other(tmp_path):
    wanted = [f"{'die' if number in (3, 40) else 'note ' + str(tmp_path / 'who')} {number}" for number in range(60)]
    results = list(Workers(2).run(tasks(wanted), Scripted))
    assert names(results) == wanted
    assert errors(results) == {"die 3": "crashed", "die 40": "crashed"}


@pytest.mark.usefixtures("warm")
def test_a_photo_that_takes_for_ever_is_given_up():
    wanted = ["a", "hang", "b"]
    results = list(Workers(1, time_limit=1.0).run(tasks(wanted), Scripted))
    assert names(results) == wanted
    assert errors(results) == {"hang": "timeout"}


@pytest.mark.usefixtures("warm")
def test_what_no_photo_will_be_spared_ends_the_run():
    with pytest.raises(OutputError, match="no space"):
        list(Workers(2).run(tasks(["a", "refuse"]), Scripted))
    job = Job(Options(model="nobody"))
    with pytest.raises(WeightsError, match="nobody"):
        list(Workers(1).run(tasks(["a"]), job))


def kill_self(threads):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("warm")
def test_a_process_that_cannot_begin_ends_the_run():
    with pytest.raises(FacegenderError, match="before it could begin"):
        list(Workers(1).run(tasks(["a"]), kill_self))


class Recording(dict):
    """An environment that records what is written to it."""

    def __init__(self, values):
        super().__init__(values)
        self.written = []

    def __setitem__(self, name, value):
        self.written.append(name)
        super().__setitem__(name, value)

    def update(self, *args, **values):
        self.written.extend(dict(*args, **values))
        super().update(*args, **values)


def test_threads_are_limited_in_workers_without_a_change_of_this_process(monkeypatch):
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    environment, main = Recording(os.environ), sys.modules["__main__"]
    monkeypatch.setattr(os, "environ", environment)
    with ThreadPoolExecutor(2) as threads:  # as two workers of the service that are replaced at once
        both = list(threads.map(lambda _: names(Workers(1).run(tasks(["threads"]), Scripted)), range(2)))
    assert environment.written == []
    assert sys.modules["__main__"] is main
    # Of its threads one handles tasks and one receives them: NumPy's libraries have started none.
    assert both == [["['1', '1', '1'] 2"]] * 2


@pytest.mark.usefixtures("warm")
def test_a_handler_that_gives_too_few_results_ends_the_run():
    with pytest.raises(ValueError, match="shorter"):
        list(Workers(1).run(tasks(["a", "b"]), Forgetful))


class Forgetful(Scripted):
    """Forgets the last of its tasks."""

    def __call__(self, tasks):
        return super().__call__(tasks)[:-1]


@pytest.mark.usefixtures("warm")
def test_all_tasks_of_a_chunk_share_the_time_that_they_have_alone():
    hanging = [f"hang {number}" for number in range(6)]
    with WorkerPool(Scripted, 1, 1.0, error_result, alone_limit=1.0) as pool:
        found = list(pool.run(tasks([*hanging, "a"])))
    assert names(found) == [*hanging, "a"]
    assert errors(found) == dict.fromkeys(hanging, "timeout")


def test_chunks_end_at_a_number_of_bytes():
    held = [Task(InMemory(str(number), bytes(CHUNK_BYTES // 3 + 1))) for number in range(7)]
    assert [len(chunk) for chunk in chunks_of(16, held)] == [3, 3, 1]
    assert [len(chunk) for chunk in chunks_of(2, held)] == [2, 2, 2, 1]


@pytest.mark.usefixtures("warm")
def test_photos_of_archives_are_not_all_held():
    """Their bytes travel to the workers and are given up with the results."""
    every = (Task(InMemory(str(number), bytes(8 * 2**20))) for number in range(60))
    tracemalloc.start()
    try:
        found = names(Workers(2).run(every, Scripted))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [str(number) for number in range(60)]
    assert peak < 300 * 2**20


def test_no_process_stays():
    before = len(psutil.Process().children())
    results = Workers(2).run(tasks(["a"] * 1000), Scripted)
    next(results)
    children = psutil.Process().children()
    assert len(children) >= 2
    results.close()
    assert len(psutil.Process().children()) == before


@pytest.mark.usefixtures("warm")
def test_photos_are_taken_only_as_fast_as_they_are_worked_on():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield Task(Source.file("a"))

    results = Workers(2).run(endless(), Scripted)
    for _ in range(3):
        next(results)
    assert len(taken) < 40 * CHUNK_PHOTOS
    results.close()


@pytest.mark.usefixtures("warm")
def test_workers_answer_as_the_analyzer_does(tiny_model, tiny_detector, save):
    rng = np.random.default_rng(0)
    paths = []
    for number in range(20):
        image = np.repeat(rng.integers(0, 256, (120, 150, 1), dtype=np.uint8), 3, axis=2)
        image[40:90, 50:100] = (255 - number, 0, 0)
        paths.append(str(save(f"{number}.png", image)))
    paths[7] = "absent.jpg"
    options = Options(model=tiny_model, detector=tiny_detector)
    job = Job(options)
    photos = [Task(Source.file(path)) for path in paths]
    results = [result for chunk in Workers(2).run(photos, job) for result in chunk]
    assert [r.to_dict() for r in results] == [r.to_dict() for r in FaceAnalyzer(options=options).analyze_many(paths)]
    assert results[7].error.kind == "not_found"
    assert all(len(r.faces) == 1 for r in results if not r.error)


def test_a_surprise_is_the_error_of_its_photo(tiny_model, tiny_detector, save):
    handler = Job(Options(model=tiny_model, detector=tiny_detector))(threads=1)
    good = save("a.png", np.zeros((9, 9, 3), np.uint8))

    class Surprising:
        def scale(self, width, height):
            return 1.0

        def detect(self, pictures):
            if any(picture.width == 9 for picture in pictures):
                raise ZeroDivisionError("who would have thought")
            return [[] for _ in pictures]

    handler._analyzer.detector = Surprising()
    other = save("b.png", np.zeros((8, 8, 3), np.uint8))
    results = handler([Task(Source.file(str(path))) for path in (other, good, other)])
    assert [r.error and r.error.kind for r in results] == [None, "failed", None]
    assert "ZeroDivisionError: who would have thought" in results[1].error.message
