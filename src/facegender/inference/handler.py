"""What a worker does with photos, the same in every engine: read, analyse, and save pictures where they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from facegender.errors import FacegenderError, PhotoReadError
from facegender.faces.decode import decode_reduced
from facegender.faces.types import Image, PhotoError, PhotoResult
from facegender.inference.pictures import ANNOTATED_SUFFIX, save_annotated, save_crops
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.tasks import Job, Task, error_result
from facegender.sources import Source, content_digest, is_remote, read


class PhotoHandler:
    """Analyses photos, a few at a time.

    Attributes:
        classifier: the one that answers.

    Raises:
        WeightsError, InputError: as for `FaceAnalyzer`.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._analyzer = FaceAnalyzer(options=job.options)
        self.classifier = self._analyzer.classifier

    def __call__(self, tasks: Sequence[Task]) -> list[PhotoResult]:
        """One result a photo, in order.

        An unexpected exception becomes the error of the photo that led to it.

        Raises:
            FacegenderError: what no other photo will be spared, such as a full disk.
        """
        try:
            return self._analyze(tasks)
        except FacegenderError:
            raise
        except Exception as error:
            if len(tasks) > 1:
                return [result for task in tasks for result in self([task])]
            [task] = tasks
            return [error_result(task, "failed", f"led to {type(error).__name__}: {error}")]

    def _analyze(self, tasks: Sequence[Task]) -> list[PhotoResult]:
        photos = self._read([task.source for task in tasks])
        # Before the analysis: a photo that is replaced meanwhile has another one then, and is analysed again.
        digests = [None if isinstance(photo, PhotoError) else content_digest(photo) for photo in photos]
        named = ((task.source.name, photo) for task, photo in zip(tasks, photos, strict=True))
        analyzed = self._analyzer.analyze_named(named)
        results = []
        for task, photo, digest, result in zip(tasks, photos, digests, analyzed, strict=True):
            weighted = replace(result, weight=task.weight, digest=digest)
            if (self._job.annotate or self._job.crops) and result.error is None and not isinstance(photo, PhotoError):
                weighted = self._save_pictures(task, photo, weighted)
            results.append(weighted)
        return results

    @staticmethod
    def _read(sources: Sequence[Source]) -> list[str | Path | bytes | PhotoError]:
        def one(source: Source) -> str | Path | bytes | PhotoError:
            try:
                return read(source)
            except PhotoReadError as error:
                return PhotoError(error.kind, str(error))

        if not any(map(is_remote, sources)):
            return [one(source) for source in sources]
        with ThreadPoolExecutor(len(sources)) as threads:  # most of the time is waiting
            return list(threads.map(one, sources))

    def _save_pictures(self, task: Task, photo: str | Path | bytes, result: PhotoResult) -> PhotoResult:
        # Read again rather than kept: the analysis may have decoded it at less than its full size.
        try:
            image: Image = decode_reduced(
                photo, lambda width, height: 1.0, max_pixels=self._analyzer.max_pixels, name=result.path
            ).pixels
        except PhotoReadError as error:
            return replace(result, width=None, height=None, faces=(), error=PhotoError(error.kind, str(error)))
        if self._job.annotate is not None:
            name = f"{task.stem}{ANNOTATED_SUFFIX}"
            save_annotated(image, result, self._job.annotate / name)
            result = replace(result, annotated=name)
        if self._job.crops is not None:
            names = save_crops(image, result, self.classifier.card.template, self._job.crops, task.stem)
            faces = (replace(found, crop=name) for found, name in zip(result.faces, names, strict=True))
            result = replace(result, faces=tuple(faces))
        return result
