"""What ``facegender predict`` does with videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from facegender.cli.root import say
from facegender.progress import Bar
from facegender.video.analyze import VideoAnalyzer
from facegender.video.frames import VIDEO_SUFFIXES
from facegender.video.types import VideoResult

__all__ = ["VIDEO_SUFFIXES", "predict_videos"]

#: Steps of the bar: thousandths of a video, so that short ones move too.
_STEPS = 1000


def predict_videos(
    paths: Sequence[str],
    analyzer: VideoAnalyzer,
    *,
    timeline: Path | None = None,
    subtitles: Path | None = None,
    annotate: Path | None = None,
    bar: bool = True,
) -> Iterator[VideoResult]:
    """Analyse videos one after the other and yield each result as soon as its files are written.

    Args:
        paths: of the videos.
        analyzer: what looks at them.
        timeline: a CSV or Parquet file for the sightings of all videos.
        subtitles: a folder for ``STEM.ass`` and ``STEM.vtt``.
        annotate: a folder for ``STEM.faces.mp4``.
        bar: False keeps the progress bar away.

    Raises:
        InputError: a timeline of another format.
        OutputError: a file cannot be written.
        MissingExtraError: PyAV, or pyarrow for a Parquet timeline, is not installed.
    """
    from facegender.video.annotate import ANNOTATED_VIDEO_SUFFIX, annotate_video
    from facegender.video.subtitles import save_ass, save_webvtt
    from facegender.video.timeline import TimelineSink

    names: set[str] = set()
    with ExitStack() as stack:
        sink = None if timeline is None else stack.enter_context(TimelineSink(timeline))
        for path in paths:
            stem = _free(Path(path).stem or "video", names)
            with _ShareBar(path, bar) as shares:
                result = analyzer.analyze(path, shares.reach)
            if result.error is not None:
                say(f"skipped ({result.error.kind}): {result.error.message}")
            for remark in result.remarks:
                say(f"{path}: {remark}")
            if sink is not None:
                sink.write(result)
            if result.error is None:
                if subtitles is not None:
                    save_ass(result, subtitles / f"{stem}.ass")
                    save_webvtt(result, subtitles / f"{stem}.vtt")
                if annotate is not None:
                    with _ShareBar(f"{path}, drawing", bar) as shares:
                        remarks = annotate_video(result, annotate / f"{stem}{ANNOTATED_VIDEO_SUFFIX}", shares.reach)
                    for remark in remarks:
                        say(f"{path}: {remark}")
            yield result


def _free(stem: str, names: set[str]) -> str:
    """A stem that no other video's files have; some file systems do not tell A from a."""
    name, number = stem, 1
    while name.casefold() in names:
        number += 1
        name = f"{stem}-{number}"
    names.add(name.casefold())
    return name


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
