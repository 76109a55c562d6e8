"""What ``facegender predict --dry-run`` prints."""

from __future__ import annotations

from pathlib import Path

import typer

from facegender.cli.photos import Destination, passed_line
from facegender.formats.records import visible
from facegender.inference.engines import Engine
from facegender.inference.options import Options
from facegender.inference.plan import plan
from facegender.inference.run import Collection
from facegender.sources.photos import why_empty
from facegender.wording import counted, duration


def plan_photos(
    collection: Collection,
    options: Options,
    engine: Engine,
    destination: Destination,
    *,
    annotate: Path | None,
    crops: Path | None,
) -> None:
    """Say what a run would do."""
    found = plan(
        collection,
        options=options,
        engine=engine,
        output=destination.output,
        format=None if destination.format_ is None else destination.format_.name,
        resume=destination.resume,
        prune=destination.prune,
        annotate=annotate,
        crops=crops,
    )
    lines = [f"{counted(found.photos, 'photo')} found"]
    lines += why_empty(collection.empty)
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
