"""What a worker does with photos, the same in every engine: read, analyse, and save pictures where they are wanted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import PIL.Image

from facegender.errors import FacegenderError, PhotoReadError
from facegender.faces.align import crop_faces
from facegender.faces.decode import DEFAULT_MAX_PIXELS, UNNAMED, decode_reduced
from facegender.faces.types import Image, PhotoError, PhotoResult, Picture
from facegender.files import atomic_file
from facegender.inference.annotate import ANNOTATED_SUFFIX, save_annotated
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import FaceDetector, OnnxDetector
from facegender.inference.pipeline import FaceAnalyzer
from facegender.sources import Source, is_remote, read

#: What the name of a face's crop ends in.
CROP_SUFFIX = re.compile(r"\.face\d+\.png$")


class MakeDetector(Protocol):
    """Opens a detector that is not of the package's kind: a class or function that pickle can send to any process."""

    def __call__(self, model: str, *, min_face: int | None, min_score: float | None) -> FaceDetector:
        """The detector in a file."""


@dataclass(frozen=True)
class Settings:
    """How photos are analysed; small, so that it can be sent to any process.

    Attributes:
        model, device, min_face, min_score, max_pixels, max_error, min_confidence: as for `FaceAnalyzer`.
        detector: its name, to be noted beside the results.
        detector_model: its file; None takes the package's.
        make_detector: how the file is opened; None takes it for one of the package's kind.
    """

    model: str
    detector: str = "builtin"
    detector_model: str | None = None
    make_detector: MakeDetector | None = None
    device: str = "cpu"
    min_face: int | None = None
    min_score: float | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_error: float | None = None
    min_confidence: float | None = None

    def finder(self, threads: int | None = None) -> FaceDetector:
        """The face detector; errors as for `FaceAnalyzer`."""
        if self.make_detector is not None:
            return self.make_detector(self.detector_model or "", min_face=self.min_face, min_score=self.min_score)
        return OnnxDetector(
            self.detector_model, min_face=self.min_face, min_score=self.min_score, device=self.device, threads=threads
        )

    def analyzer(self, threads: int | None = None) -> FaceAnalyzer:
        """The analyzer of these settings; errors as for `FaceAnalyzer`."""
        return FaceAnalyzer(
            self.model,
            self.finder(threads),
            device=self.device,
            max_pixels=self.max_pixels,
            max_error=self.max_error,
            min_confidence=self.min_confidence,
            threads=threads,
        )

    def account(self) -> dict[str, Any]:
        """What results depend on, to be noted beside them; errors as for `FaceAnalyzer`."""
        analyzer = self.analyzer()
        card = analyzer.classifier.card
        finder = analyzer.detector
        detector = (
            {"name": finder.card.name, "sha256": finder.card.sha256}
            if isinstance(finder, OnnxDetector)
            else {
                "name": self.detector,
                "sha256": hashlib.sha256(Path(self.detector_model or "").read_bytes()).hexdigest(),
            }
        )
        model = {"name": card.name, "sha256": card.sha256, "min_confidence": analyzer.classifier.min_confidence}
        options = {name: getattr(self, name) for name in ("min_face", "min_score", "max_pixels")}
        return {"version": version("facegender"), "model": model, "detector": detector, "options": options}


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
        settings: how.
        annotate: folder for copies of the photos with their faces and answers drawn in, if they are wanted.
        crops: folder for the aligned 64 x 64 crops of the faces, if they are wanted.
        threads: CPU threads of the networks; None takes all cores.

    Raises:
        WeightsError, InputError: as for `FaceAnalyzer`.
    """

    def __init__(
        self, settings: Settings, *, annotate: Path | None = None, crops: Path | None = None, threads: int | None = None
    ) -> None:
        self._analyzer = settings.analyzer(threads)
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
