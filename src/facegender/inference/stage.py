"""What a worker does with photos, the same in every engine: read, analyse, and save pictures where they are wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import PIL.Image

from facegender.errors import FacegenderError, PhotoReadError
from facegender.faces.align import crop_faces
from facegender.faces.decode import UNNAMED, decode_reduced
from facegender.faces.types import Image, PhotoError, PhotoResult, Picture
from facegender.files import atomic_file
from facegender.inference.annotate import ANNOTATED_SUFFIX, save_annotated
from facegender.inference.classifier import GenderClassifier
from facegender.inference.options import Options
from facegender.inference.pipeline import FaceAnalyzer
from facegender.sources import Source, is_remote, read

#: What the name of a face's crop ends in.
CROP_SUFFIX = re.compile(r"\.face\d+\.png$")


@dataclass(frozen=True, slots=True)
class Task:
    """A photo to be analysed.

    Attributes:
        source: where it is.
        weight: for how many photos of a collection it stands.
        stem: what pictures made of it are called.
    """

    source: Source
    weight: float = 1.0
    stem: str = ""


class PhotoStage:
    """Analyses photos, a few at a time.

    Args:
        options: how.
        annotate: folder for copies of the photos with their faces and answers drawn in, if they are wanted.
        crops: folder for the aligned 64 x 64 crops of the faces, if they are wanted.
        threads: CPU threads of the networks, where the options do not say; None takes all cores.

    Raises:
        WeightsError, InputError: as for `FaceAnalyzer`.
    """

    def __init__(
        self, options: Options, *, annotate: Path | None = None, crops: Path | None = None, threads: int | None = None
    ) -> None:
        self._analyzer = FaceAnalyzer(options=replace(options, threads=options.threads or threads))
        self._annotate, self._crops = annotate, crops

    @property
    def classifier(self) -> GenderClassifier:
        """The one that answers."""
        return self._analyzer.classifier

    def __call__(self, tasks: Sequence[Task]) -> list[PhotoResult]:
        """One result a photo, in order.

        What nobody foresaw becomes the error of the photo that led to it.

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
            return [lost(task, "failed", f"led to {type(error).__name__}: {error}")]

    def _analyze(self, tasks: Sequence[Task]) -> list[PhotoResult]:
        photos = self._read([task.source for task in tasks])
        named = ((task.source.name, photo) for task, photo in zip(tasks, photos, strict=True))
        results = []
        for task, photo, result in zip(tasks, photos, self._analyzer.analyze_named(named), strict=True):
            weighted = replace(result, weight=task.weight)
            if (self._annotate or self._crops) and result.error is None and not isinstance(photo, PhotoError):
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
        if self._annotate is not None:
            save_annotated(image, result, self._annotate / f"{task.stem}{ANNOTATED_SUFFIX}")
        if self._crops is not None:
            faces = [found.face for found in result.faces]
            crops = crop_faces(Picture.of(image), faces, self._analyzer.classifier.card.template)
            for number, crop in enumerate(crops):
                with atomic_file(self._crops / f"{task.stem}.face{number}.png") as temporary:
                    PIL.Image.fromarray(crop).save(temporary, format="PNG")
        return result


def lost(task: Task, kind: str, what: str) -> PhotoResult:
    """The result of a photo that ended its worker, or did what else was not foreseen."""
    name = task.source.name
    message = f"{name or UNNAMED} {what}"
    return PhotoResult(name, error=PhotoError(kind, message), weight=task.weight)
