"""What ``facegender predict`` prints of photos, or with ``--dry-run`` says of them."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import typer
from rich.console import Console

from facegender.cli.made import Made
from facegender.cli.root import say
from facegender.faces.types import PhotoResult
from facegender.formats.records import FACES, PHOTOS, Schema, visible
from facegender.formats.registry import Format, Writer
from facegender.formats.summary import Summary
from facegender.formats.table import TableWriter
from facegender.inference.engines import Engine
from facegender.inference.finished import Finished
from facegender.inference.options import Options
from facegender.inference.plan import plan
from facegender.inference.run import Collection, Rows, analyze
from facegender.progress import Bar
from facegender.sources import PassedOver
from facegender.sources.photos import why_empty
from facegender.weights.cards import DEFAULT_MAX_ERROR
from facegender.weights.terms import Network, short_terms
from facegender.wording import counted, duration

#: At most this number of unreadable photos is named on the terminal.
_REMARKS = 100


@dataclass(frozen=True)
class Destination:
    """Where records go.

    Attributes:
        format_: None for a table on standard output.
        output: a file; None for standard output.
        resume: continue what is in the file.
        command: to be written beside it.
        prune: drop the records of photos that are gone.
        rows: what a row is of, for photos.
    """

    format_: Format | None
    output: Path | None
    resume: bool
    command: str
    prune: bool
    rows: Rows

    @property
    def bar_fits(self) -> bool:
        """Whether a progress bar has the terminal to itself: records may be written to it while the run goes on."""
        return self.format_ is None or self.output is not None or not sys.stdout.isatty()

    def terminal(self, schema: Schema) -> Writer:
        """Standard output."""
        if self.format_ is not None and (writer := self.format_.stream_writer(_stdout(), schema)) is not None:
            return writer
        # In a pipe there is no right width: let every row be one line.
        return TableWriter(_PipeConsole(highlight=False, width=None if sys.stdout.isatty() else 10_000))


def _stdout() -> IO[str]:
    """Standard output for data: as in files, UTF-8; on a terminal, without control characters that it would obey."""
    if sys.stdout.isatty():
        return cast(IO[str], _Terminal())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


class _Terminal:
    """Writes to a terminal what names cannot use to change it."""

    def write(self, text: str) -> None:
        sys.stdout.write("\n".join(map(visible, text.split("\n"))))

    def flush(self) -> None:
        sys.stdout.flush()


class _PipeConsole(Console):
    """Leaves a closed pipe to the caller, where rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class _Report:
    """The bar, the counts and the remarks of a run."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._began = bar, time.monotonic()
        self.summary = Summary()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def skipped(self) -> None:
        self._bar.step()

    def analyzed(self, results: Sequence[PhotoResult]) -> None:
        counts = self.summary.counts
        for result in results:
            self.summary.add(result.to_dict())
            if result.error is not None:
                if counts["errors"] <= _REMARKS:
                    say(f"skipped ({result.error.kind}): {result.error.message}")
                elif counts["errors"] == _REMARKS + 1:
                    say("more photos are skipped; each has its error in the output")
        rate = counts["photos"] / max(self.seconds, 1e-3)
        text = f"{rate:.0f} photos/s, {counted(counts['faces'], 'face')}, {counted(counts['errors'], 'error')}"
        self._bar.step(len(results), status=text)


def predict_photos(
    collection: Collection,
    options: Options,
    engine: Engine,
    destination: Destination,
    made: Made,
    network: Network | None,
) -> int:
    """Analyse photos, and print or write their records; the exit status.

    The network is the one that answers, where it is known.
    """
    made.check()
    for line in why_empty(collection.empty):
        say(line)
    skipped = pruned = 0
    annotate, crops = made.annotate, made.crops
    with ExitStack() as stack:
        kept = stack.enter_context(Finished()) if made.needs_records and destination.output is None else None
        with Bar("photos", collection.total, wanted=destination.bar_fits) as bar:
            report = _Report(bar)
            if destination.output is None or destination.format_ is None:
                schema = PHOTOS if destination.rows == "photo" else FACES
                schema = schema.with_pictures() if annotate or crops else schema
                results = analyze(
                    collection, options=options, engine=engine, annotate=annotate, crops=crops, progress=report
                )
                try:
                    with closing(results), destination.terminal(schema) as terminal:
                        for result in results:
                            record = result.to_dict()
                            terminal.write(schema.prepared(record))
                            if kept is not None:
                                kept.add(record)
                except BrokenPipeError:
                    return reader_has_left(unmade=made.needs_records)
            else:
                done = analyze(
                    collection,
                    options=options,
                    output=destination.output,
                    format=destination.format_.name,
                    resume=destination.resume,
                    prune=destination.prune,
                    rows=destination.rows,
                    engine=engine,
                    annotate=annotate,
                    crops=crops,
                    command=destination.command,
                    progress=report,
                )
                skipped, pruned = done.skipped, done.pruned
                if done.former_rows is not None:
                    now = f"one row a {destination.rows}, before one a {done.former_rows}"
                    say(f"rewrote {destination.output}: {now}")
                if done.relabelled:
                    say(f"relabelled {counted(skipped, 'photo')}{_rates(done.former_confidence, options, network)}")
        if passed := collection.photos.passed_over:
            say(passed_line(passed))
        counts = report.summary.counts
        if pruned:
            say(f"dropped the records of {counted(pruned, 'photo')} that are gone")
        elif skipped and not counts:
            say(already_recorded(destination.output, skipped, "photo"))
        say_summary(report.summary, report.seconds, network, destination)
        if made.needs_records:
            finished = kept or stack.enter_context(Finished(destination.output))
            made.finish(finished, collection, options, network, lambda: engine.provenance(options)["model"]["name"])
        return status(report.summary, nothing_before=not skipped)


def plan_photos(collection: Collection, options: Options, engine: Engine, destination: Destination, made: Made) -> None:
    """Say what a run would do."""
    found = plan(
        collection,
        options=options,
        engine=engine,
        output=destination.output,
        format=None if destination.format_ is None else destination.format_.name,
        resume=destination.resume,
        prune=destination.prune,
        annotate=made.annotate,
        crops=made.crops,
    )
    lines = [f"{counted(found.photos, 'photo')} found", *why_empty(collection.empty)]
    if passed := collection.photos.passed_over:
        lines.append(passed_line(passed))
    if destination.output is not None:
        lines.append(f"{found.held:,} done in {destination.output} already")
    lines.append(f"{counted(found.new, 'photo')} would be analysed")
    if found.relabelled:
        lines.append("the answers that are there would be relabelled")
    if found.pruned:
        lines.append(f"the records of {counted(found.pruned, 'photo')} that are gone would be dropped")
    if found.seconds is not None:
        timed = counted(found.timed, "photo")
        lines.append(f"estimated time: about {duration(found.seconds)}, from {timed} analysed just now")
    lines.append("nothing was written")
    for line in lines:
        typer.echo(visible(line))


def _rates(before: float | None, options: Options, network: Network | None) -> str:
    """With which options records were labelled before, and are now; empty where that is not known."""
    if before is None:
        return ""
    listed = {} if network is None else {confidence: rate for rate, confidence in network.confidence_for_error.items()}
    former = f"--max-error {listed[before]}" if before in listed else f"--min-confidence {before:g}"
    if options.min_confidence is not None:
        now = f"--min-confidence {options.min_confidence:g}"
    else:
        now = f"--max-error {DEFAULT_MAX_ERROR if options.max_error is None else options.max_error:g}"
    option, _, value = now.partition(" ")
    return f": {former} before, {value if former.startswith(option) else now} now"


def passed_line(passed: PassedOver) -> str:
    """What a run has passed over, and what to do about videos."""
    if not passed.kinds["videos"]:
        return str(passed)
    return f"{passed}; videos are analysed in a run of their own that names them: facegender predict 'FOLDER/*.mp4'"


def reader_has_left(*, unmade: bool = False) -> int:
    """The exit status where the reader of standard output, such as ``head``, has seen enough.

    `unmade`: what is made when a run has ended is wanted.
    """
    if unmade:
        say("the reader of the records has left: no report or sidecars are made; with --output FILE there is no reader")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
    return 0


def already_recorded(output: Path | None, count: int, noun: str) -> str:
    """Says that there was nothing to do."""
    return f"{output} holds {'the' if count == 1 else 'all'} {counted(count, noun)} already"


def say_summary(summary: Summary, seconds: float, network: Network | None, destination: Destination) -> None:
    """Print the outcome of a run, and the terms of its network where they are known."""
    lines = summary.lines(seconds, below_table=destination.format_ is None)  # a table ends with the counts
    for line in lines:
        say(line)
    if lines and network is not None:
        say(short_terms(network))


def status(summary: Summary, *, nothing_before: bool) -> int:
    """The exit status, given the photos of this run, and whether the output held none before."""
    counts = summary.counts
    if not counts["errors"]:
        return 0
    return 1 if counts["errors"] == counts["photos"] and nothing_before else 3
