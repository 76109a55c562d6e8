"""What the options of ``facegender predict`` mean, and which do not go together."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import typer

from facegender.cli.root import given
from facegender.errors import InputError
from facegender.formats.records import FACES
from facegender.formats.registry import Format, by_name, by_suffix, formats
from facegender.inference.detector import Orientations
from facegender.inference.engines import Engine, Workers
from facegender.inference.options import Options
from facegender.sources import find_videos, is_video
from facegender.video.run import is_made
from facegender.weights import load_card
from facegender.weights.terms import Network

#: What finds the faces.
Detector: TypeAlias = Literal["builtin", "yunet"]

#: The value of ``--format`` for people; the others are formats of files.
TABLE = "table"

#: Options that say how this machine analyses photos, or what it makes beside the records.
_OF_THIS_MACHINE = (
    *("annotate", "crops", "fps", "timeline", "subtitles", "workers", "time_limit", "device"),
    *("detector", "detector_model", "min_face", "min_score", "orientations", "max_pixels"),
)

#: Options for photos only.
_OF_PHOTOS = ("on", "crops", "report", "xmp", "rows", "sample", "dry_run", "prune")


def is_url(on: str) -> bool:
    """Whether ``--on`` names a server."""
    return on.startswith(("http://", "https://"))


def engine_on(on: str, workers: int | None, time_limit: float) -> Engine:
    """What ``--on`` names."""
    place, _, address = on.partition(":")
    if on == "here":
        return Workers(workers, time_limit)
    if place == "ray":
        from facegender.cluster import RayEngine

        return RayEngine(on if address.startswith("//") else address or None, workers, time_limit)
    if is_url(on):
        from facegender.client import ServerEngine

        return ServerEngine(on, token=os.environ.get("FACEGENDER_TOKEN") or None)
    raise typer.BadParameter(f"{on!r} is not here, ray, ray:ADDRESS or a server's URL", param_hint="--on")


def network_of(on: str, engine: Engine, options: Options) -> Network | None:
    """The network that an engine runs, with its terms of use; None where a server does not tell them."""
    if not is_url(on):
        return load_card(options.model)
    from facegender.client import ServerEngine

    assert isinstance(engine, ServerEngine)
    return engine.network(options)


def with_detector(
    options: Options,
    detector: Detector,
    file: Path | None,
    min_face: int | None,
    min_score: float | None,
    orientations: Orientations,
) -> Options:
    """The options with the detector that is asked for."""
    if detector == "builtin":
        return replace(options, detector=file, min_face=min_face, min_score=min_score, orientations=orientations)
    if orientations == "all":
        raise typer.BadParameter("yunet looks for upright faces only", param_hint="--orientations")
    from facegender.lab.detection.yunet import YuNetDetector

    return replace(options, detector=YuNetDetector(str(file), min_face=min_face, min_score=min_score))


def check_server_options(ctx: typer.Context, paths: Sequence[str]) -> None:
    """Refuse what a server would not do."""
    if refused := given(ctx, *_OF_THIS_MACHINE):
        raise typer.BadParameter(
            f"leave out {', '.join(refused)}: a server has its own options, and makes nothing but records",
            param_hint="--on",
        )
    if any(map(is_video, paths)):
        raise typer.BadParameter("a server takes photos, not videos", param_hint="--on")


def videos_in(paths: Sequence[str], recursive: bool) -> tuple[str, ...]:
    """The videos that are named; empty where photos are."""
    try:
        return find_videos(paths, recursive=recursive, skip=is_made)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from None


def check_video_options(ctx: typer.Context, timeline: Path | None, output: Path | None) -> None:
    """Refuse what is not done with videos."""
    if timeline is not None and timeline == output:
        raise typer.BadParameter("it is the file of --output", param_hint="--timeline")
    if timeline is not None and timeline.suffix.lower() not in (".csv", ".parquet"):
        raise typer.BadParameter(f"a timeline is .csv or .parquet, not {timeline.name}", param_hint="--timeline")
    if refused := given(ctx, *_OF_PHOTOS):
        raise typer.BadParameter("only for photos", param_hint=", ".join(refused))


def file_format(chosen: str | None, output: Path | None) -> Format | None:
    """How records are written; None for a table."""
    known = [TABLE, *(format_.name for format_ in formats())]
    if chosen not in (None, *known):
        raise typer.BadParameter(f"{chosen!r} is not one of {', '.join(known)}", param_hint="--format")
    if output is None:
        if chosen in (None, TABLE):
            return None
        format_ = by_name(chosen)
        if format_.stream_writer(io.StringIO(), FACES) is None:
            raise typer.BadParameter(f"{chosen} needs --output FILE", param_hint="--format")
        return format_
    if chosen == TABLE:
        raise typer.BadParameter(f"a table is for the terminal; choose {_either(known[1:])}", param_hint="--format")
    if os.path.isdir(output):  # noqa: PTH112 (also for names that are too long)
        raise typer.BadParameter(
            f"{output} is a folder (name a file in it, such as {output / 'faces.jsonl'})", param_hint="--output"
        )
    try:
        named = by_suffix(output)
    except InputError:
        if chosen is not None:
            return by_name(chosen)
        suffixes = _either([f".{name}" for name in known[1:]])
        raise typer.BadParameter(
            f"{output} does not end in {suffixes}; name it so, or add --format", param_hint="--output"
        ) from None
    if chosen not in (None, named.name):
        raise typer.BadParameter(
            f"{output} is a name for {named.name}, and --format is {chosen} (leave out --format, or rename the file)",
            param_hint="--output, --format",
        )
    return named


def check_folders(**folders: Path | str | None) -> None:
    """Refuse a file where an option needs a folder."""
    for option, folder in folders.items():
        if folder is not None and os.path.isfile(folder):  # noqa: PTH113 (also for names that are too long)
            raise typer.BadParameter(f"{folder} is a file; --{option} needs a folder", param_hint=f"--{option}")


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
