"""What `predict` does with photos: where results go, how many processes work, what the person at the terminal sees."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from facegender.cli.root import say
from facegender.errors import OutputError
from facegender.faces.types import PhotoResult
from facegender.formats.records import FACES, Record, Schema
from facegender.formats.registry import Format, Writer
from facegender.formats.table import TableWriter
from facegender.inference.annotate import ANNOTATED_SUFFIX, PictureNames
from facegender.inference.options import Options
from facegender.inference.parts import Output
from facegender.inference.stage import CROP_SUFFIX, PhotoStage, Task
from facegender.inference.workers import analyze_here, analyze_in_workers
from facegender.machine import usable_cores
from facegender.progress import Bar
from facegender.sources import Source, find_photos
from facegender.sources import sample as draw

if TYPE_CHECKING:
    from facegender.client import Client
    from facegender.cluster import ClusterOutput

#: So few photos are done before processes of their own would have started.
_FEW_PHOTOS = 64
#: So many photos that cannot be read are named on the terminal.
_REMARKS = 100


@dataclass(frozen=True)
class Destination:
    """Where records go.

    Attributes:
        format_: None for a table.
        output: a file; None for standard output.
        resume: go on with what is in the file.
        command: to be noted beside it.
    """

    format_: Format | None
    output: Path | None
    resume: bool
    command: str

    @property
    def bar_fits(self) -> bool:
        """Whether a progress bar has the terminal to itself: records may be written to it meanwhile."""
        return self.format_ is None or self.output is not None or not sys.stdout.isatty()

    def file(self, schema: Schema, account: Callable[[], Record]) -> Output | None:
        """The file, if there is one; errors as for `Output`."""
        if self.output is None or self.format_ is None:
            return None
        return Output(self.output, self.format_, schema, account(), command=self.command, resume=self.resume)

    def terminal(self, schema: Schema) -> Writer:
        """Standard output."""
        if self.format_ is not None and (writer := self.format_.stream_writer(sys.stdout, schema)) is not None:
            return writer
        # In a pipe there is no right width: let every row be one line.
        return TableWriter(_PipeConsole(highlight=False, width=None if sys.stdout.isatty() else 10_000))


class _PipeConsole(Console):
    """Leaves a closed pipe to the caller, where rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass(frozen=True)
class Extras:
    """What is wanted beside the records.

    Attributes:
        annotate: folder for copies of the photos with their faces and answers drawn in.
        crops: folder for the faces as they are classified.
    """

    annotate: Path | None
    crops: Path | None

    @property
    def folders(self) -> list[Path]:
        """Those that are wanted."""
        return [folder for folder in (self.annotate, self.crops) if folder is not None]


@dataclass(frozen=True)
class Collection:
    """The photos of a run, or those drawn from them.

    Attributes:
        photos: they can be listed again and again.
        total: how many they are, where that is known.
        weight: for how many photos each stands.
        drawn: how they were drawn, for the account of the run; None for all photos.
    """

    photos: Iterable[Source]
    total: int | None
    weight: float = 1.0
    drawn: Record | None = None


def find(paths: Sequence[str], recursive: bool, extras: Extras, sample: tuple[int, int] | None) -> Collection:
    """The photos of the command line, or a sample of them, given its size and seed; errors as for `find_photos`."""
    found = find_photos(paths, recursive=recursive, skip=functools.partial(_is_ours, folders=extras.folders))
    for argument in found.empty:
        say(f"no photos in {argument}")
    if sample is None:
        return Collection(found, found.count())
    size, seed = sample
    photos, population = draw(found, size, seed)
    drawn = {"drawn": photos.count(), "population": population, "seed": seed}
    return Collection(photos, photos.count(), population / photos.count(), drawn)


def predict_photos(
    collection: Collection, work: Options | Client, destination: Destination, extras: Extras, workers: int | None
) -> int:
    """Analyse photos and write their records; the exit status.

    Args:
        collection: the photos.
        work: how they are analysed here, or the server that does it; with one, there are no extras and workers.
        destination: of the records.
        extras: pictures that are made of them.
        workers: processes; None for one a core, and none for a few photos.
    """
    for folder in extras.folders:
        _check_folder(folder)
    counts: Counter[str] = Counter()
    try:
        with ExitStack() as stack:
            file = destination.file(FACES, lambda: work.provenance() | {"sample": collection.drawn})
            write = (
                _one_by_one(stack.enter_context(destination.terminal(FACES)))
                if file is None
                else stack.enter_context(file).write
            )
            bar = stack.enter_context(Bar("photos", collection.total, wanted=destination.bar_fits))
            tasks = _tasks(collection, extras, file, bar)
            engine = (
                _engine(tasks, work, extras, workers, collection.total)
                if isinstance(work, Options)
                else work.analyze_tasks(tasks)
            )
            began = time.monotonic()
            for results in engine:
                write([result.to_dict() for result in results])
                _count(results, counts)
                bar.step(len(results), note=rate(counts, began))
    except BrokenPipeError:
        # The reader has seen enough. Without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if counts["errors"] > _REMARKS:
        say(f"{counts['errors']} of {counts['photos']} photos could not be read")
    if file is not None and file.done and not counts:
        say(f"{destination.output} holds all {file.done} photos already")
    return status(counts, nothing_before=file is None or not file.done)


def _engine(
    tasks: Iterable[Task], options: Options, extras: Extras, workers: int | None, total: int | None
) -> Iterator[Sequence[PhotoResult]]:
    """What analyses photos on this machine."""
    make_stage = functools.partial(PhotoStage, options, annotate=extras.annotate, crops=extras.crops)
    if workers is None and total is not None and total <= _FEW_PHOTOS:
        return analyze_here(tasks, make_stage)
    return analyze_in_workers(tasks, make_stage, workers or usable_cores())


def _one_by_one(writer: Writer) -> Callable[[list[Record]], None]:
    def write(records: list[Record]) -> None:
        for record in records:
            writer.write(record)

    return write


def predict_on_cluster(
    collection: Collection, options: Options, destination: Destination, address: str | None, workers: int | None
) -> int:
    """Analyse photos on a Ray cluster; the exit status.

    Args:
        collection: the photos.
        options: how they are analysed.
        destination: of the records, a folder.
        address: of the cluster; None starts one here.
        workers: actors; None for all that fit.
    """
    from facegender.cluster import ClusterOutput, analyze_on_ray

    place = str(destination.output)
    account = options.provenance() | {"sample": collection.drawn}
    output = ClusterOutput(place, account, command=destination.command, resume=destination.resume)
    counts: Counter[str] = Counter()
    with Bar("photos", collection.total) as bar:
        tasks = _tasks(collection, Extras(None, None), output, bar)
        make_stage = functools.partial(PhotoStage, options)
        began = time.monotonic()
        engine = analyze_on_ray(
            tasks, make_stage, place, address=address, workers=workers, gpus=options.device == "cuda"
        )
        for done in engine:
            counts.update({name: int(done[name]) for name in ("photos", "faces", "errors")})
            bar.step(int(done["photos"]), note=rate(counts, began))
    if output.done and not counts:
        say(f"{place} holds all {output.done} photos already")
    if counts["errors"]:
        say(f"{counts['errors']} photos could not be read; each has its error in {place}")
    return status(counts, nothing_before=not output.done)


def predict_on_server(
    collection: Collection,
    url: str,
    options: Options,
    destination: Destination,
) -> int:
    """Send photos to a server and write the records that come back; the exit status.

    Args:
        collection: the photos.
        url: of the server.
        options: the model, one of the server's, and when to answer ``uncertain``.
        destination: of the records.
    """
    from facegender.client import RUN_RETRIES, Client

    token = os.environ.get("FACEGENDER_TOKEN") or None
    model = None if options.model is None else str(options.model)
    with Client(url, token=token, model=model) as client:
        client.models()  # a wrong URL or token shows at once; only a run has the patience to outlast a restart
    with Client(
        url,
        token=token,
        model=model,
        max_error=options.max_error,
        min_confidence=options.min_confidence,
        retries=RUN_RETRIES,
    ) as client:
        return predict_photos(collection, client, destination, Extras(None, None), None)


def rate(counts: Counter[str], began: float) -> str:
    """What a run has come to since a moment, for the end of its bar."""
    seconds = max(time.monotonic() - began, 1e-3)
    return f"{counts['photos'] / seconds:.0f} photos/s, {counts['faces']} faces, {counts['errors']} errors"


def status(counts: Counter[str], *, nothing_before: bool) -> int:
    """The exit status, given the photos and errors of this run, and whether the output held none before."""
    if not counts["errors"]:
        return 0
    return 1 if counts["errors"] == counts["photos"] and nothing_before else 3


def _tasks(collection: Collection, extras: Extras, file: Output | ClusterOutput | None, bar: Bar) -> Iterator[Task]:
    """What is to be done; a photo that an earlier run did is passed over, but keeps its name for pictures."""
    folders = extras.folders
    names = PictureNames(_names_in(folders, collection.photos)) if folders else None
    for source in collection.photos:
        stem = names.stem(source.name) if names else ""
        if file is not None and file.is_done(source.name):
            bar.step()
        else:
            yield Task(source, collection.weight, stem)


def _count(results: Sequence[PhotoResult], counts: Counter[str]) -> None:
    for result in results:
        counts["photos"] += 1
        counts["faces"] += len(result.faces)
        if result.error is not None:
            counts["errors"] += 1
            if counts["errors"] <= _REMARKS:
                say(f"skipped ({result.error.kind}): {result.error.message}")
            elif counts["errors"] == _REMARKS + 1:
                say("more photos are skipped; each has its error in the output")


def _is_ours(photo: str, folders: Sequence[Path]) -> bool:
    """Whether a photo found in a folder is a picture that an earlier run made there."""
    if not folders or not (photo.endswith(ANNOTATED_SUFFIX) or CROP_SUFFIX.search(photo)):
        return False
    return Path(photo).parent.resolve() in [folder.resolve() for folder in folders]


def _names_in(folders: Sequence[Path], photos: Iterable[Source]) -> Iterator[str]:
    """Names of photos that lie in one of the folders, which pictures must not take."""
    places = {folder.resolve() for folder in folders}
    resolved = functools.lru_cache(lambda parent: parent.resolve())
    return (Path(s.name).name for s in photos if resolved(Path(s.name).parent) in places)


def _check_folder(folder: Path) -> None:
    """Make the folder and try it out before the work begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write in the folder {folder}: {error.strerror}") from error
