"""What an engine is given: photos as tasks, and how they are analysed as a job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from facegender.faces.decode import UNNAMED
from facegender.faces.types import PhotoError, PhotoResult
from facegender.inference.options import Options
from facegender.sources import Source

if TYPE_CHECKING:
    from facegender.inference.handler import PhotoHandler

#: Photos that are analysed together: enough for the networks' batches, few enough that memory stays flat.
CHUNK_PHOTOS = 16


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


@dataclass(frozen=True)
class Job:
    """How the photos of a run are analysed; small, so that it can be sent to any process.

    Attributes:
        options: of the analysis.
        annotate: folder for copies of the photos with their faces and answers drawn in, where they are wanted.
        crops: folder for the aligned 64 x 64 crops of the faces, where they are wanted.
    """

    options: Options
    annotate: Path | None = None
    crops: Path | None = None

    def __call__(self, *, threads: int | None) -> PhotoHandler:
        """Open the networks, with this number of CPU threads where the options do not say; None takes all cores."""
        from facegender.inference.handler import PhotoHandler

        threads = threads if self.options.threads is None else self.options.threads
        return PhotoHandler(replace(self, options=replace(self.options, threads=threads)))


def error_result(task: Task, kind: str, what: str) -> PhotoResult:
    """The result of a photo that could not be analysed: the kind of its error, and what the photo did."""
    name = task.source.name
    return PhotoResult(name, error=PhotoError(kind, f"{name or UNNAMED} {what}"), weight=task.weight)
