"""``facegender predict``: every face in photos, folders or a list of paths."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from facegender.cli.root import app, say
from facegender.errors import InputError, OutputError, PhotoReadError
from facegender.faces.decode import DEFAULT_MAX_PIXELS, decode
from facegender.faces.detect import FaceDetector, OnnxDetector, YuNetDetector
from facegender.faces.types import PhotoResult
from facegender.inference.annotate import ANNOTATED_SUFFIX, save_annotated
from facegender.inference.pipeline import FaceAnalyzer
from facegender.inference.writers import CsvSink, JsonLinesSink, ParquetSink, Sink, TableSink
from facegender.progress import Bar
from facegender.weights import DEFAULT

#: Inside folders, other files are passed over.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff", ".bmp"}
    | {".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".avifs", ".heic", ".heif"}
)


class Format(StrEnum):
    """The output formats."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Detector(StrEnum):
    """What finds the faces."""

    BUILTIN = "builtin"
    YUNET = "yunet"


class Device(StrEnum):
    """Where the networks run."""

    CPU = "cpu"
    CUDA = "cuda"
    AUTO = "auto"


@app.command()
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Photos, folders, or `-` for a list on standard input."),
    ],
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also look in folders of folders.")] = False,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Output format. Default: from the suffix of --output, else a table."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write here instead of standard output."),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option("--annotate", metavar="DIR", help="Save each photo with its faces and answers drawn in."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="A shipped network, or the path of an .onnx file.")
    ] = DEFAULT,
    device: Annotated[Device, typer.Option("--device", help="Where the networks run.")] = Device.CPU,
    detector: Annotated[
        Detector, typer.Option("--detector", help="What finds the faces; `yunet` needs its file.")
    ] = Detector.BUILTIN,
    detector_model: Annotated[
        Path | None,
        typer.Option("--detector-model", metavar="FILE", help="The detector's .onnx file, instead of the package's."),
    ] = None,
    min_face: Annotated[
        int | None,
        typer.Option(
            "--min-face",
            min=1,
            metavar="PIXELS",
            help="Side of the smallest face to look for in the full photo; smaller takes longer, and photos are "
            "enlarged at most twice. Default: 11 in photos of up to 850 pixels on the longest side, 50 in one of "
            "4000.",
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            min=0.01,
            max=1.0,
            metavar="S",
            help="Leave out faces that the detector is less sure of. Default: the detector's own value.",
        ),
    ] = None,
    max_error: Annotated[
        float | None,
        typer.Option(
            "--max-error",
            min=0.0,
            max=0.5,
            metavar="RATE",
            help="Answer `uncertain` so often that at most this share of the other answers is wrong, on faces like "
            "those that the network was validated on. Default: 0.01.",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            min=0.5,
            max=1.0,
            metavar="P",
            help="Instead of --max-error: answers less probable than this are `uncertain`.",
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option("--max-pixels", min=1, metavar="N", help="Do not read photos with more pixels.")
    ] = DEFAULT_MAX_PIXELS,
) -> None:
    """Find the faces in photos and estimate how each is likely to be *perceived*.

    Exit status: 0 all photos were read; 1 nothing could be done; 2 wrong usage; 3 some photos could not
    be read (each has its error in the output); 130 interrupted.
    """
    if max_error is not None and min_confidence is not None:
        raise typer.BadParameter("give --max-error or --min-confidence, not both", param_hint="--max-error")
    format_ = _format(format_, output)
    photos = _collect(paths, recursive, annotate)
    if annotate is not None:
        _check_folder(annotate)
    finder = _detector(detector, detector_model, min_face, min_score, device)

    failed = 0
    try:
        with _sink(format_, output) as sink, Bar("photos", len(photos), wanted=_bar_fits(format_, output)) as bar:
            analyzer = FaceAnalyzer(
                model,
                finder,
                device=device.value,
                max_pixels=max_pixels,
                max_error=max_error,
                min_confidence=min_confidence,
            )
            taken = _names_in(annotate, photos)
            for result in analyzer.analyze_many(photos):
                sink.write(result)
                if result.error is not None:
                    failed += 1
                    say(f"skipped ({result.error.kind}): {result.error.message}")
                elif annotate is not None:
                    _save_annotated(result, annotate, taken, max_pixels)
                bar.step()
    except BrokenPipeError:
        # The reader has seen enough. Without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    if failed == len(photos):
        raise typer.Exit(1)
    if failed:
        raise typer.Exit(3)


def _detector(
    kind: Detector, model: Path | None, min_face: int | None, min_score: float | None, device: Device
) -> FaceDetector:
    if kind is Detector.BUILTIN:
        return OnnxDetector(model, min_face=min_face, min_score=min_score, device=device.value)
    if model is None:
        raise typer.BadParameter("yunet needs --detector-model FILE", param_hint="--detector")
    return YuNetDetector(model, min_face=min_face, min_score=min_score)


def _format(chosen: Format | None, output: Path | None) -> Format:
    if output is None:
        if chosen is Format.PARQUET:
            raise typer.BadParameter("parquet needs --output FILE", param_hint="--format")
        return chosen or Format.TABLE
    if chosen is Format.TABLE:
        raise typer.BadParameter("a table is for the terminal; choose jsonl, csv or parquet", param_hint="--format")
    if chosen is not None:
        return chosen
    suffix = output.suffix.lower().removeprefix(".")
    if suffix not in (Format.JSONL, Format.CSV, Format.PARQUET):
        raise typer.BadParameter(
            f"the suffix of {output.name} names no format; use .jsonl, .csv or .parquet, or add --format",
            param_hint="--output",
        )
    return Format(suffix)


def _collect(paths: list[str], recursive: bool, annotate: Path | None) -> list[str]:
    """Turn arguments into photos: folders are listed, ``-`` is read, all else is taken as it is."""
    given: list[str] = []
    for path in paths:
        given.extend(_read_list() if path == "-" else [path])
    photos: list[str] = []
    empty: list[str] = []
    for path in given:
        if _is_folder(path):
            found = [photo for photo in _photos_in(path, recursive) if not _is_ours(photo, annotate)]
            photos.extend(found)
            if not found:
                empty.append(path)
        else:
            photos.append(path)
    remedy = None if recursive else "--recursive looks in folders of folders"
    if not photos:
        what = f"no photos in {', '.join(empty)}" if empty else "no photos were named"
        raise InputError(what, remedy=remedy if empty else None)
    for folder in empty:
        say(f"no photos in {folder}")
    return photos


def _is_ours(photo: str, annotate: Path | None) -> bool:
    """Whether a photo found in a folder is an annotated picture of an earlier run."""
    if annotate is None or not photo.endswith(ANNOTATED_SUFFIX):
        return False
    return Path(photo).parent.resolve() == annotate.resolve()


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # not allowed to look, or too long a name: the photo's own error will say so
        return False


def _read_list() -> Iterator[str]:
    for line in sys.stdin.buffer:
        path = os.fsdecode(line).rstrip("\r\n")
        if path.strip():
            yield path


def _photos_in(folder: str, recursive: bool) -> Iterator[str]:
    """The photos of a folder in the order of their names; hidden files and folders are passed over.

    A folder that cannot be listed stands in for its photos: reading it will say what is wrong with it.
    """
    refused: list[str] = []
    for place, folders, files in os.walk(folder, onerror=lambda error: refused.append(error.filename)):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield str(Path(place, name))
    yield from refused


def _check_folder(folder: Path) -> None:
    """Make the folder and try it out before the work begins."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"cannot write in the folder {folder}: {error.strerror}") from error


def _sink(format_: Format, output: Path | None) -> Sink:
    target = sys.stdout if output is None else output
    if format_ is Format.JSONL:
        return JsonLinesSink(target)
    if format_ is Format.CSV:
        return CsvSink(target)
    if format_ is Format.PARQUET and output is not None:
        return ParquetSink(output)
    # In a pipe there is no right width: let every row be one line.
    return TableSink(_PipeConsole(highlight=False, width=None if sys.stdout.isatty() else 10_000))


class _PipeConsole(Console):
    """Leaves a closed pipe to the caller, where rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _names_in(folder: Path | None, photos: list[str]) -> set[str]:
    """Names that annotated pictures must not take: those of the photos that lie in that folder."""
    if folder is None:
        return set()
    place = folder.resolve()
    return {Path(photo).name.casefold() for photo in photos if Path(photo).parent.resolve() == place}


def _save_annotated(result: PhotoResult, folder: Path, taken: set[str], max_pixels: int) -> None:
    # Read again rather than kept: results carry no pixels, so that memory stays flat.
    try:
        image = decode(result.path, max_pixels=max_pixels)
    except PhotoReadError as error:
        say(f"not annotated ({error.kind}): {error}")
    else:
        save_annotated(image, result, folder, taken)


def _bar_fits(format_: Format, output: Path | None) -> bool:
    """Whether a progress bar has the terminal to itself: records may be written to it meanwhile."""
    return format_ is Format.TABLE or output is not None or not sys.stdout.isatty()
