"""A worker of the service: a process with all models, which analyses photos and classifies crops."""

from __future__ import annotations

import functools
import io
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import PIL.Image

from facegender.errors import PhotoReadError
from facegender.faces.decode import decode
from facegender.faces.types import CROP_SIZE, Crops, PhotoError, PhotoResult
from facegender.inference.classifier import GenderClassifier
from facegender.inference.options import Options
from facegender.inference.tasks import Job, Task, error_result
from facegender.inference.workers import WorkerPool
from facegender.sources.source import InMemory


@dataclass(frozen=True)
class ServiceTask:
    """A photo with faces, or crops, and the name of the classifier for them.

    Attributes:
        name: what results and errors call it; text only.
        data: the bytes of a file with the photo, or with one crop; or the pixels of crops, N x 64 x 64 x 3 bytes, RGB.
        kind: which of them.
    """

    model: str
    name: str
    data: bytes = field(repr=False)
    kind: Literal["photo", "crop", "pixels"]


#: Of a photo its result; of crops their calibrated probabilities, or what is wrong with them. Labels are made
#: elsewhere: requests of one batch may accept different error rates.
Answer: TypeAlias = PhotoResult | tuple[float, ...] | PhotoError


class ServiceHandler:
    """Handles tasks of all kinds and models, those of one kind and model together.

    Args:
        models: names of classifiers, each with how photos are analysed for it. Labels are not used: they are made
            where the request is known.

    Raises:
        WeightsError, InputError: as for `FaceAnalyzer`.
    """

    def __init__(self, models: Mapping[str, Options], *, threads: int | None) -> None:
        # An init system may tell all processes of the service to end at once; photos under way are to be finished.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._handlers = {name: Job(options)(threads=threads) for name, options in models.items()}

    def __call__(self, tasks: Sequence[ServiceTask]) -> list[Answer]:
        """One answer a task, in order."""
        answers: dict[int, Answer] = {}
        for model, handler in self._handlers.items():
            own = {place: task for place, task in enumerate(tasks) if task.model == model}
            photos = {p: Task(InMemory(task.name, task.data)) for p, task in own.items() if task.kind == "photo"}
            if photos:
                answers.update(zip(photos, handler(list(photos.values())), strict=True))
            answers.update(_classify(handler.classifier, {p: task for p, task in own.items() if p not in photos}))
        return [answers[place] for place in range(len(tasks))]


def _classify(classifier: GenderClassifier, tasks: dict[int, ServiceTask]) -> Iterator[tuple[int, Answer]]:
    """The answers to tasks of crops, with their places."""
    read: dict[int, Crops] = {}
    for place, task in tasks.items():
        try:
            read[place] = _crops(task)
        except PhotoReadError as error:
            yield place, PhotoError(error.kind, str(error))
    if not read:
        return
    p_male = classifier.p_male(np.concatenate(list(read.values())))
    ends = np.cumsum([len(crops) for crops in read.values()])
    for place, own in zip(read, np.split(p_male, ends[:-1]), strict=True):
        yield place, tuple(own.tolist())


def _crops(task: ServiceTask) -> Crops:
    if task.kind == "pixels":
        return np.frombuffer(task.data, np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE, 3)
    pixels = decode(task.data, max_pixels=CROP_SIZE * CROP_SIZE)
    if pixels.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise WrongSizeError(f"it has {pixels.shape[1]} x {pixels.shape[0]} pixels, not {CROP_SIZE} x {CROP_SIZE}")
    return pixels[None]


class WrongSizeError(PhotoReadError):
    """An image that does not have the size of a crop."""

    kind = "crop_size"


def error_answer(task: ServiceTask, kind: str, what: str) -> Answer:
    """The answer to a task that crashed its process or took too long."""
    return error_result(Task(InMemory(task.name, b"")), kind, what) if task.kind == "photo" else PhotoError(kind, what)


@contextmanager
def open_worker(
    models: Mapping[str, Options], time_limit: float
) -> Iterator[Callable[[Sequence[ServiceTask]], list[Answer]]]:
    """A process that handles tasks; it has handled a photo for each model when this is entered.

    Args:
        time_limit: seconds that tasks may take together; then they are tried one by one, within as long again.

    Raises:
        FacegenderError: the process cannot be started, or fails; `WeightsError` and others as for `FaceAnalyzer`.
    """
    pool: WorkerPool[ServiceTask, Answer] = WorkerPool(
        functools.partial(ServiceHandler, models), 1, time_limit, error_answer, alone_limit=time_limit
    )
    with pool:

        def work(tasks: Sequence[ServiceTask]) -> list[Answer]:
            return [answer for answers in pool.run(tasks) for answer in answers]

        photo = io.BytesIO()
        PIL.Image.new("RGB", (CROP_SIZE, CROP_SIZE), "gray").save(photo, "PNG")
        work([ServiceTask(name, "", photo.getvalue(), "photo") for name in models])
        yield work
