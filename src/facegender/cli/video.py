"""What ``facegender predict`` prints of videos."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from facegender.cli.photos import Destination, already_recorded, reader_has_left, say_summary, status
from facegender.cli.root import say
from facegender.formats.records import TRACKS
from facegender.formats.registry import Writer
from facegender.formats.summary import Summary
from facegender.inference.options import Options
from facegender.progress import Bar
from facegender.video.run import VideoFiles, analyze_videos
from facegender.video.types import VideoResult
from facegender.weights.terms import Network
from facegender.wording import counted

#: Steps of the bar: thousandths of a video, so that short ones move too.
_STEPS = 1000


class _Report:
    """The bar of each step, the counts, and what is said of each video."""

    def __init__(self, stack: ExitStack, terminal: Writer | None, bar_fits: bool) -> None:
        self._stack, self._terminal, self._bar_fits = stack, terminal, bar_fits
        self._described, self._reached = "", 0
        self._bar = Bar("", wanted=False)
        self.summary = Summary()

    def reached(self, description: str, share: float) -> None:
        if description != self._described:
            self._stack.close()
            bar = Bar(Path(description).name, _STEPS, wanted=self._bar_fits)
            self._bar, self._described, self._reached = self._stack.enter_context(bar), description, 0
        steps = round(share * _STEPS) - self._reached
        if steps > 0:
            self._reached += steps
            self._bar.step(steps)

    def analyzed(self, result: VideoResult) -> None:
        self._stack.close()
        self._described = ""
        self.summary.add(result.to_dict())
        if result.error is not None:
            say(f"skipped ({result.error.kind}): {result.error.message}")
        for remark in result.remarks:
            say(f"{result.path}: {remark}")
        if self._terminal is not None:
            self._terminal.write(result.to_dict())


def predict_videos(
    paths: Sequence[str],
    options: Options,
    destination: Destination,
    files: VideoFiles,
    network: Network | None,
    fps: float | None,
    workers: int | None,
    limited: bool | None,
) -> int:
    """Analyse videos, and print or write their records; the exit status. The network is the one that answers.

    `limited`: whether a limit left videos out; None without one.
    """
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            to_file = destination.output is not None
            terminal = None if to_file else stack.enter_context(destination.terminal(TRACKS))
            report = _Report(stack.enter_context(ExitStack()), terminal, destination.bar_fits)
            found = analyze_videos(
                paths,
                options=options,
                output=destination.output,
                format_=destination.format_,
                resume=destination.resume,
                files=files,
                fps=fps,
                workers=workers,
                limited=limited,
                command=destination.command,
                reached=report.reached,
                analyzed=report.analyzed,
            )
    except BrokenPipeError as error:
        for note in getattr(error, "__notes__", ()):  # what was wanted beside the answers is not whole
            say(note)
        return reader_has_left()
    if found.relabelled:
        how = "with another accepted error or least confidence"
        say(f"relabelled {counted(found.held, 'video')}, answered before {how}")
        made = {"--subtitles": files.subtitles, "--annotate": files.annotate}
        if absent := [f"{option} DIR" for option, folder in made.items() if folder is None]:
            say(f"subtitles and drawn copies made before keep their labels; renew them: add {' and '.join(absent)}")
    if found.held and not report.summary.counts:
        say(already_recorded(destination.output, found.held, "video"))
    say_summary(report.summary, time.monotonic() - began, network, destination)
    return status(report.summary, nothing_before=not found.held)
