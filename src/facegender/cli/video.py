"""What ``facegender predict`` does with videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from facegender.cli.photos import Destination, status
from facegender.cli.root import say
from facegender.formats.records import TIMELINE, TRACKS, Record
from facegender.formats.registry import Writer, by_suffix
from facegender.inference.annotate import PictureNames
from facegender.inference.options import Options
from facegender.inference.parts import Output
from facegender.progress import Bar
from facegender.video.analyze import VideoAnalyzer
from facegender.video.frames import VIDEO_SUFFIXES
from facegender.video.types import VideoResult

__all__ = ["VIDEO_SUFFIXES", "VideoExtras", "predict_videos"]

#: Steps of the bar: thousandths of a video, so that short ones move too.
_STEPS = 1000


@dataclass(frozen=True)
class VideoExtras:
    """What is wanted beside the records.

    Attributes:
        timeline: a file for all sightings.
        subtitles: a folder for ``STEM.ass`` and ``STEM.vtt``.
        annotate: a folder for ``STEM.faces.mp4``.
    """

    timeline: Path | None = None
    subtitles: Path | None = None
    annotate: Path | None = None


def predict_videos(
    paths: Sequence[str],
    options: Options,
    destination: Destination,
    extras: VideoExtras,
    *,
    fps: float | None,
    workers: int | None = None,
) -> int:
    """Analyse videos one after the other, each with its files, and write their records; the exit status.

    Args:
        paths: of the videos.
        options: how faces are found and classified.
        destination: of the records.
        extras: files that are made of them.
        fps: sampled frames a second; None for every frame.
        workers: threads; None for one a core.

    Raises:
        OutputError: a file cannot be written.
        MissingExtraError: PyAV, or pyarrow for Parquet, is not installed.
    """

    def provenance() -> Record:
        known = options.provenance()
        return {**known, "options": {**known["options"], "fps": fps}}

    counts: Counter[str] = Counter()
    names = PictureNames()
    with ExitStack() as stack:
        terminal: Writer | None = None
        files: list[tuple[Output, Callable[[VideoResult], Record]]] = []
        file = destination.file(TRACKS, provenance)
        if file is None:
            terminal = stack.enter_context(destination.terminal(TRACKS))
        else:
            files.append((stack.enter_context(file), VideoResult.to_dict))
        if extras.timeline is not None:
            side = replace(destination, output=extras.timeline, format_=by_suffix(extras.timeline))
            timeline = side.file(TIMELINE, provenance)
            if timeline is not None:
                files.append((stack.enter_context(timeline), VideoResult.timeline))
        analyzer = VideoAnalyzer(options=options, fps=fps, workers=workers)
        for path in paths:
            stem = names.stem(path)
            missing = [(output, record) for output, record in files if not output.is_done(path)]
            if files and not missing:
                continue
            result = _one(path, stem, analyzer, extras, destination.bar_fits)
            for output, record in missing:
                output.write([record(result)])
            if terminal is not None:
                terminal.write(result.to_dict())
            counts["photos"] += 1
            counts["errors"] += result.error is not None
    done = min((output.done for output, _ in files), default=0)
    if done and not counts:
        say(f"{destination.output} holds all {done} videos already")
    return status(counts, nothing_before=not done)


def _one(path: str, stem: str, analyzer: VideoAnalyzer, extras: VideoExtras, bar: bool) -> VideoResult:
    """Analyse a video and make its files."""
    from facegender.video.annotate import ANNOTATED_VIDEO_SUFFIX, annotate_video
    from facegender.video.subtitles import save_ass, save_webvtt

    with _ShareBar(path, bar) as shares:
        result = analyzer.analyze(path, shares.reach)
    remarks = list(result.remarks)
    if result.error is not None:
        say(f"skipped ({result.error.kind}): {result.error.message}")
        return result
    if extras.subtitles is not None:
        save_ass(result, extras.subtitles / f"{stem}.ass")
        save_webvtt(result, extras.subtitles / f"{stem}.vtt")
    if extras.annotate is not None:
        with _ShareBar(f"{path}, drawing", bar) as shares:
            remarks += annotate_video(result, extras.annotate / f"{stem}{ANNOTATED_VIDEO_SUFFIX}", shares.reach)
    for remark in remarks:
        say(f"{path}: {remark}")
    return result


class _ShareBar(Bar):
    """A bar for the share of one video that is done."""

    def __init__(self, description: str, wanted: bool) -> None:
        super().__init__(Path(description).name, _STEPS, wanted=wanted)
        self._reached = 0

    def reach(self, share: float) -> None:
        """Go to a share in [0, 1]."""
        steps = round(share * _STEPS) - self._reached
        if steps > 0:
            self._reached += steps
            self.step(steps)
