"""A run: photos from any source, through an engine, into a file or to the caller."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar, overload

from facegender.errors import InputError
from facegender.faces.types import PhotoResult
from facegender.formats.records import FACES, PHOTOS, Record
from facegender.formats.registry import by_name, by_suffix
from facegender.inference.classifier import relabelled
from facegender.inference.engines import Engine, Workers
from facegender.inference.options import Options
from facegender.inference.output import Output
from facegender.inference.pictures import PictureNames, check_folder, has_pictures, is_made, stem_of
from facegender.inference.tasks import Job, Task
from facegender.sources import Photos, Sample, find_photos, first, sample

AnyPath: TypeAlias = str | os.PathLike[str]
#: What a row of the output is of.
Rows: TypeAlias = Literal["face", "photo"]
OutputT = TypeVar("OutputT", bound=Output)


class Progress(Protocol):
    """Receives the photos of a run, in order."""

    def skipped(self) -> None:
        """The output holds a photo already."""
        ...

    def analyzed(self, results: Sequence[PhotoResult]) -> None:
        """Photos have been analysed, and written where there is an output."""
        ...


@dataclass(frozen=True)
class Collection:
    """The photos of a run, or a sample of them.

    Attributes:
        photos: they can be listed again and again.
        total: how many they are, where that is known.
        weight: for how many photos each stands.
        sample: how they were drawn, to be written beside the results; None for all photos.
        empty: the sources that have no photos.
    """

    photos: Photos | Sample
    total: int | None
    weight: float = 1.0
    sample: dict[str, int] | None = None
    empty: tuple[str, ...] = ()

    @property
    def limited(self) -> bool | None:
        """Whether a limit left photos out, once the others have been listed; None without a limit."""
        return self.photos.goes_on if isinstance(self.photos, Sample) and self.sample is None else None


@dataclass(frozen=True)
class RunSummary:
    """The outcome of a run.

    Attributes:
        output: the file.
        photos, faces, errors: of this run; errors are photos that could not be analysed.
        skipped: photos that the file held before.
        pruned: records that were dropped, of photos that are gone.
        relabelled: whether the file was made with another least confidence, and its labels are those of this one now.
        former_confidence: the least confidence that they were made with, where it is known and but one.
        former_rows: what a row of the file was of before, where this run has written it again with other rows.
    """

    output: Path
    photos: int
    faces: int
    errors: int
    skipped: int
    pruned: int = 0
    relabelled: bool = False
    former_confidence: float | None = None
    former_rows: Rows | None = None


def collect(
    sources: AnyPath | Iterable[AnyPath],
    *,
    recursive: bool = False,
    draw: int | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> Collection:
    """Find the photos of a run. Pictures that an earlier run made, in folders and by patterns, are passed over.

    Args:
        sources: photos; folders; patterns (``photos/**/*.jpg``); lists (text, CSV, TSV or Parquet with a column
            ``path``); tar and zip archives; URLs.
        recursive: also search subfolders.
        draw: how many photos to draw at random; None takes all.
        seed: of the drawing.
        limit: how many photos to take, the first that are listed; None takes all.

    Raises:
        InputError: there are no photos, both `draw` and `limit` are given or one is below 1, a source is of another
            type, or a URL cannot be served.
        MissingExtraError: a package for a kind of storage or list is not installed.
    """
    for name, number in (("a sample", draw), ("a limit", limit)):
        if number is not None and number < 1:
            raise InputError(f"{name} must have at least 1 photo, not {number}")
    named = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    for source in named:
        if not isinstance(source, str | os.PathLike):
            raise InputError(
                f"a source is a path, pattern or URL, not {type(source).__name__}",
                remedy="FaceAnalyzer takes photos that are in memory",
            )
    found = find_photos([os.fspath(source) for source in named], recursive=recursive, skip=is_made)
    if limit is not None:
        if draw is not None:
            raise InputError("the first photos are no random ones", remedy="give a sample or a limit, not both")
        some, total = first(found, limit)
        return Collection(some, total, empty=found.empty)
    if draw is None:
        return Collection(found, found.count(), empty=found.empty)
    photos, population = sample(found, draw, seed)
    drawn = {"drawn": photos.count(), "population": population, "seed": seed}
    return Collection(photos, photos.count(), population / photos.count(), drawn, found.empty)


@overload
def analyze(
    sources: AnyPath | Iterable[AnyPath] | Collection,
    *,
    options: Options | None = None,
    output: None = None,
    engine: Engine | None = None,
    recursive: bool = False,
    annotate: AnyPath | None = None,
    crops: AnyPath | None = None,
    progress: Progress | None = None,
) -> Generator[PhotoResult, None, None]: ...


@overload
def analyze(
    sources: AnyPath | Iterable[AnyPath] | Collection,
    *,
    options: Options | None = None,
    output: AnyPath,
    format: str | None = None,
    resume: bool = True,
    prune: bool = False,
    rows: Rows = "face",
    engine: Engine | None = None,
    recursive: bool = False,
    annotate: AnyPath | None = None,
    crops: AnyPath | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> RunSummary: ...


def analyze(
    sources: AnyPath | Iterable[AnyPath] | Collection,
    *,
    options: Options | None = None,
    output: AnyPath | None = None,
    format: str | None = None,
    resume: bool = True,
    prune: bool = False,
    rows: Rows = "face",
    engine: Engine | None = None,
    recursive: bool = False,
    annotate: AnyPath | None = None,
    crops: AnyPath | None = None,
    command: str = "facegender.analyze",
    progress: Progress | None = None,
) -> Generator[PhotoResult, None, None] | RunSummary:
    """Analyse any number of photos from any sources.

    A photo that cannot be read, crashes its process or takes too long has a result with an error; the run continues.

        for result in facegender.analyze("photos/"):
            print(result.path, len(result.faces))

        facegender.analyze(["photos/", "more.tar"], output="faces.parquet")

    Args:
        sources: as for `collect`, or what it gives.
        options: how photos are analysed.
        output: a file for the records. A run that was stopped, even killed, is resumed when it is called again; a file
            that is whole gets the photos that it does not hold yet. With another `max_error` or `min_confidence` the
            answers that it holds are relabelled, and no photo is analysed again for that. None gives the results to the
            caller.
        format: of the output, such as ``jsonl``, ``csv``, ``parquet``, ``sqlite``; None takes it from the suffix.
        resume: continue the output; otherwise replace it.
        prune: drop from the output the records of photos that are gone.
        rows: of the output, one a ``face``, or one a ``photo`` with how many faces have each answer. With another value
            than before, the output is written again, and no photo is analysed again for that.
        engine: what does the work: `Workers` (None takes it with a process for each core), `InProcess`,
            `facegender.cluster.RayEngine`, `facegender.client.ServerEngine`.
        recursive: also search subfolders.
        annotate: a folder for copies of the photos with their faces and answers drawn in.
        crops: a folder for the faces as they are classified, 64 x 64 pixels.
        command: the command that made the output, written beside it.
        progress: receives photos as they are done.

    Returns:
        The results in order, as they are iterated over; with an output, a summary.

    Raises:
        InputError: there are no photos, the output has other options, its format is unknown, the engine cannot do what
            the options ask for, or some photos alone, of a limit, are to tell which are gone.
        OutputError: the output or a folder cannot be written.
        WeightsError: unknown model, or a file that is not what its card says.
        MissingExtraError: a package for the format, the engine or a kind of storage is not installed.
    """
    if not isinstance(sources, Collection):
        sources = collect(sources, recursive=recursive)
    options, engine = options or Options(), engine or Workers()
    job = Job(options, None if annotate is None else Path(annotate), None if crops is None else Path(crops))
    for folder in filter(None, (job.annotate, job.crops)):
        check_folder(folder)
    skipped = None if progress is None else progress.skipped
    if output is None:
        if format is not None or prune or rows != "face":
            raise InputError("a format, rows per photo, or to prune, needs an output")
        return _results(tasks_of(sources, job, None, skipped), job, engine, progress)
    photos = faces = errors = 0
    with output_of(
        Output,
        sources,
        Path(output),
        job.options,
        engine,
        format=format,
        resume=resume,
        prune=prune,
        command=command,
        rows=rows,
    ) as file:
        held = file.done
        with closing(engine.run(tasks_of(sources, job, file, skipped), job)) as chunks:
            for results in chunks:
                file.write([result.to_dict() for result in results], [result.digest for result in results])
                photos += len(results)
                faces += sum(len(result.faces) for result in results)
                errors += sum(result.error is not None for result in results)
                if progress is not None:
                    progress.analyzed(results)
        file.limited = sources.limited
    former: Rows | None = None if file.former_view is None else "photo" if file.former_view == PHOTOS.table else "face"
    return RunSummary(
        file.path, photos, faces, errors, held, file.pruned, file.relabelled, file.former_confidence, former
    )


def output_of(
    kind: type[OutputT],
    sources: Collection,
    path: Path,
    options: Options,
    engine: Engine,
    *,
    format: str | None,
    resume: bool,
    prune: bool,
    command: str = "",
    rows: Rows = "face",
) -> OutputT:
    """The output of a run, not opened yet; arguments and errors as for `analyze`."""
    if prune and isinstance(sources.photos, Sample) and sources.sample is None:
        raise InputError("some of the photos do not tell which are gone", remedy="prune without a limit")
    if prune and sources.empty:
        raise InputError(
            f"no photos in {', '.join(sources.empty)}: the records of all photos there would be dropped",
            remedy="is its drive connected? otherwise leave it out",
        )
    settings = engine.provenance(options) | {"sample": sources.sample}
    confidence = settings.get("model", {}).get("min_confidence")
    relabel = None if confidence is None else partial(relabelled, min_confidence=confidence)
    format_ = by_suffix(path) if format is None else by_name(format)
    return kind(
        *(path, format_, FACES, settings),
        command=command,
        resume=resume,
        prune=prune,
        relabel=relabel,
        view=PHOTOS if rows == "photo" else None,
    )


def _results(
    tasks: Iterable[Task], job: Job, engine: Engine, progress: Progress | None
) -> Generator[PhotoResult, None, None]:
    with closing(engine.run(tasks, job)) as chunks:
        for results in chunks:
            yield from results
            if progress is not None:
                progress.analyzed(results)


def tasks_of(
    collection: Collection, job: Job, file: Output | None, skipped: Callable[[], object] | None
) -> Iterator[Task]:
    """What is to be done. A photo that is done is skipped, unless pictures of it are wanted and absent."""
    wanted = job.annotate is not None or job.crops is not None
    taken = map(stem_of, file.records()) if wanted and file is not None else ()
    names = PictureNames(job.annotate, job.crops, filter(None, taken)) if wanted else None
    former: Record | None = None

    def complete(record: Record) -> bool:
        nonlocal former
        former = record
        return has_pictures(record, job.annotate, job.crops)

    for source in collection.photos:
        former = None
        if file is not None and file.is_done(source, complete if wanted else None):
            if skipped is not None:
                skipped()
            continue
        stem = None if former is None else stem_of(former)
        yield Task(source, collection.weight, stem or (names.stem(source.name) if names else ""))
