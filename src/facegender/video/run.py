"""A run over videos: one after the other, each with the files that are wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from facegender.errors import VideoReadError
from facegender.faces.types import Prediction
from facegender.formats.records import TIMELINE, TRACKS, Schema
from facegender.formats.registry import Format, by_suffix
from facegender.inference.classifier import relabelled
from facegender.inference.options import Options
from facegender.inference.output import Output
from facegender.inference.pictures import MARK, PictureNames, check_folder
from facegender.sources import Source
from facegender.video.analyze import VideoAnalyzer
from facegender.video.annotate import ANNOTATED_VIDEO_SUFFIX, annotate_video, labels_mark
from facegender.video.subtitles import REMARK, renew_answers, save_ass, save_webvtt
from facegender.video.types import VideoResult

#: Of a file at either end, where it says who made it.
_END_BYTES = 65_536
#: What drawn copies and subtitles say there.
_MARKS = (MARK, REMARK)


@dataclass(frozen=True)
class VideoFiles:
    """What is wanted of videos beside the records.

    Attributes:
        timeline: a CSV or Parquet file for all sightings.
        subtitles: a folder for ``STEM.ass`` and ``STEM.vtt``.
        annotate: a folder for ``STEM.faces.mp4``.
    """

    timeline: Path | None = None
    subtitles: Path | None = None
    annotate: Path | None = None


@dataclass(frozen=True)
class VideoSummary:
    """What a run over videos found before it.

    Attributes:
        held: videos that the output and the timeline held.
        relabelled: whether their labels were made with another least confidence, and are those of this run now.
    """

    held: int
    relabelled: bool


def analyze_videos(
    paths: Sequence[str],
    *,
    options: Options,
    output: Path | None,
    format_: Format | None,
    resume: bool,
    files: VideoFiles,
    fps: float | None,
    workers: int | None,
    limited: bool | None,
    command: str,
    reached: Callable[[str, float], None],
    analyzed: Callable[[VideoResult], None],
) -> VideoSummary:
    """Analyse videos, and write their records and files. What an earlier run has written is not done again.

    With another least confidence than then, the records that are there are relabelled, the subtitles get the new
    answers, and copies of videos with other labels than before are drawn again, for which those are analysed again.

    Args:
        output: a file for the records; None gives them to `analyzed` only.
        format_: of the output; None takes it from the suffix.
        resume: continue the output and the timeline; otherwise replace them.
        files: what is wanted beside the records.
        fps: sampled frames a second; None for every frame.
        workers: threads; None for one a core.
        limited: whether a limit left videos out, noted beside the output; None without one.
        command: the command that made the output, written beside it.
        reached: called with the description of a step and the share of it, in [0, 1], that is done.
        analyzed: given each video once its files are written; its remarks include those on the files.

    Raises:
        OutputError: a file cannot be written.
        InputError: the output has other options, or its format is unknown.
        WeightsError: unknown model, or a file that is not what its card says.
        MissingExtraError: PyAV, or pyarrow for Parquet, is not installed.
    """
    for folder in filter(None, (files.subtitles, files.annotate)):
        check_folder(folder)
    names = _Names(files)
    with ExitStack() as stack:
        outputs: list[tuple[Output, Callable[[VideoResult], dict[str, Any]]]] = []
        settings = options.provenance()
        settings["options"] |= {"fps": fps}
        bare = files.subtitles is None and files.annotate is None
        # A timeline alone does not know the labels that subtitles and drawn copies have.
        known = bare or output is not None
        relabel = partial(relabelled, min_confidence=settings["model"]["min_confidence"]) if known else None

        def add(path: Path, form: Format, schema: Schema, record: Callable[[VideoResult], dict[str, Any]]) -> None:
            opened = Output(path, form, schema, settings, command=command, resume=resume, relabel=relabel)
            opened.limited = limited
            outputs.append((stack.enter_context(opened), record))

        if output is not None:
            add(output, format_ or by_suffix(output), TRACKS, VideoResult.to_dict)
        if files.timeline is not None:
            add(files.timeline, by_suffix(files.timeline), TIMELINE, VideoResult.timeline)
        analyzer = VideoAnalyzer(options=options, fps=fps, workers=workers)
        stems: dict[str, str] = {}  # videos of earlier runs keep theirs
        for earlier in outputs[0][0].records() if outputs and not bare else ():
            stems.setdefault(earlier["path"], names.stem(earlier["path"]))
        for path in paths:
            stem = stems.get(path) or names.stem(path)
            complete = partial(_has_current_files, stem=stem, files=files)
            missing = [each for each in outputs if not each[0].is_done(Source.file(path), complete)]
            if outputs and not missing:
                continue
            result = _analyzed(path, stem, analyzer, files, reached)
            for opened, record in missing:
                opened.write([record(result)])
            analyzed(result)
        held = min((opened.done for opened, _ in outputs), default=0)
        return VideoSummary(held, output is not None and outputs[0][0].relabelled)


def is_made(path: str) -> bool:
    """Whether a video is the drawn copy that a run made of another: its name ends like one, and it holds the mark."""
    return path.endswith(ANNOTATED_VIDEO_SUFFIX) and _holds(Path(path), *_MARKS)


class _Names(PictureNames):
    """Stems for the files made of videos. What is there and was not made by a run is not overwritten."""

    def __init__(self, files: VideoFiles) -> None:
        super().__init__()
        self._files = files

    def _is_of_the_user(self, stem: str) -> bool:
        return any(path.exists() and not _holds(path, *_MARKS) for path in _paths(stem, self._files))


def _holds(path: Path, *words: str) -> bool:
    """Whether one of the words is at either end of a file."""
    try:
        with path.open("rb") as file:
            ends = file.read(_END_BYTES)
            file.seek(max(0, file.seek(0, 2) - _END_BYTES))  # MP4 ends with its table of contents
            ends += file.read()
    except OSError:
        return False
    return any(word.encode() in ends for word in words)


def _has_current_files(record: dict[str, Any], stem: str, files: VideoFiles) -> bool:
    """Whether the files that are wanted of a video are there with the labels of its record, or cannot be made.

    Subtitles with other labels get those of the record.
    """
    if record["error"] is not None:
        return True
    if not all(path.is_file() for path in _paths(stem, files)):
        return False
    if "tracks" not in record:
        return True
    answers = {track["track"]: Prediction(track["p_male"], track["label"]) for track in record["tracks"]}
    mark = labels_mark(answer.label for answer in answers.values())
    current = [
        _holds(path, mark) if path.name.endswith(ANNOTATED_VIDEO_SUFFIX) else renew_answers(path, answers)
        for path in _paths(stem, files)
    ]
    return all(current)


def _paths(stem: str, files: VideoFiles) -> list[Path]:
    subtitles = [] if files.subtitles is None else [files.subtitles / f"{stem}{end}" for end in (".ass", ".vtt")]
    return subtitles + ([] if files.annotate is None else [files.annotate / f"{stem}{ANNOTATED_VIDEO_SUFFIX}"])


def _analyzed(
    path: str, stem: str, analyzer: VideoAnalyzer, files: VideoFiles, reached: Callable[[str, float], None]
) -> VideoResult:
    """Analyse a video and make its files."""
    result = analyzer.analyze(path, partial(reached, path))
    if result.error is not None:
        return result
    if files.subtitles is not None:
        save_ass(result, files.subtitles / f"{stem}.ass")
        save_webvtt(result, files.subtitles / f"{stem}.vtt")
    if files.annotate is not None:
        drawn = files.annotate / f"{stem}{ANNOTATED_VIDEO_SUFFIX}"
        try:
            remarks = annotate_video(result, drawn, partial(reached, f"{path}, drawing"))
        except VideoReadError as error:  # it could be read until now
            remarks = (str(error),)
        result = replace(result, remarks=(*result.remarks, *remarks))
    return result
