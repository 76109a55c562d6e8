"""``facegender survey``: how often women and men appear, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from facegender.cli.root import app, check_exclusive, command_line, numbers, require, results_console, say
from facegender.formats.records import visible

#: Columns that a narrow terminal does without, the first to go first; survey.csv has all.
_DROPPED = (
    *("design effect", "largest %", "clusters", "misfit %", "p", "left out", "not read"),
    *("plain women %", "plain men %", "uncertain %", "faces", "read"),
)
#: Width to which the name of a group may be folded.
_GROUP = 16


@app.command()
def survey(
    ctx: typer.Context,
    results: Annotated[list[Path], typer.Argument(help="Files that facegender predict wrote, of photos or videos.")],
    metadata: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV or Parquet with a column path and columns to group by.")
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A row for each value of a column: year, section, channel, ... COLUMN:10 makes bins of 10 (years). "
            "Repeatable: a row for each combination.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Photos with the same value belong together: one event, one shoot, one issue. Intervals draw them as "
            "a whole.  [default: each photo, or each video, by itself]",
        ),
    ] = None,
    unit: Annotated[
        Literal["faces", "photos", "screen-time"] | None,
        typer.Option(
            help="What is counted; photos: those that show at least one.  [default: faces; of videos screen-time]"
        ),
    ] = None,
    labelled: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CSV",
            help="Labels of a random sample of these faces, as facegender label writes them: error rates of your "
            "collection. Repeatable: one file per labeller.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The shipped model that made the results, where no .run.json beside them says so, as for files saved "
            "by the page.",
        ),
    ] = None,
    rates: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Error rates measured before.  [default: those of the shipped model]"),
    ] = None,
    copies: Annotated[
        Literal["once", "all"],
        typer.Option(
            help="Whether photos with the same content count once, in the group of the first name, or under each name."
        ),
    ] = "once",
    min_quality: Annotated[float, typer.Option(help="Leave out faces of lower quality.", min=0.0, max=1.0)] = 0.0,
    method: Annotated[Literal["mixture", "adjusted"], typer.Option(help="How the count is corrected.")] = "mixture",
    target: Annotated[
        Literal["beyond", "these"] | None,
        typer.Option(
            help="beyond: intervals for photos or videos like these. these: for these alone, and no others.  "
            "[default: beyond; these where at least half of the faces are labelled and there is no --cluster]"
        ),
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Confidence level of the intervals.")] = 0.95,
    bootstrap: Annotated[
        int, typer.Option(min=100, max=100_000, metavar="N", help="Number of bootstrap replicates.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for report.html, report.md, survey.csv, survey.json and trend.png."
        ),
    ] = None,
) -> None:
    """Estimate how often women and men appear, corrected for the classifier's own errors, with intervals."""
    require("survey", "pandas", "scipy", "matplotlib", "markdown-it-py")
    from facegender.survey.estimate import survey as estimate
    from facegender.survey.groups import clusters_of
    from facegender.survey.labels import read_labels
    from facegender.survey.measuring import local_rates
    from facegender.survey.rates import load_rates, shipped_rates
    from facegender.survey.report import CLUSTERS, cells, interval_title, write_survey
    from facegender.survey.results import join_metadata, read_results

    check_exclusive(ctx, "labelled", "rates")
    command = command_line()
    collection = read_results(results, copies=copies)
    if metadata is not None:
        collection = join_metadata(collection, metadata)
    clusters = None if cluster is None else clusters_of(collection.photos, cluster)
    known = None
    if labelled:
        known, source = read_labels(labelled, collection), f"labels in {', '.join(path.name for path in labelled)}"
        errors = local_rates(
            collection, known, source=source, command=command, clusters=clusters, min_quality=min_quality
        )
    else:
        errors = shipped_rates(collection, model) if rates is None else load_rates(rates)
    found = estimate(
        collection,
        errors,
        unit=unit,
        method=method,
        group_by=group_by or (),
        min_quality=min_quality,
        level=level,
        replicates=bootstrap,
        seed=seed,
        labelled=known,
        target=target,
        clusters=clusters,
    )
    # Files first: they stay where the reader of the table goes away early.
    files = [] if output is None else write_survey(output, found, command)
    if output is not None and known is not None:
        files.append(output / "rates.errors.json")
        errors.save(files[-1])
    console = results_console(240)
    names = ["read", "not read", "faces", "left out", "women %", "women interval", "men %"]
    names += ["men interval", "plain women %", "plain men %"] if found.unit == "photos" else ["plain women %"]
    names += ["uncertain %", "misfit %", "p", *(() if found.cluster is None else CLUSTERS)]
    headings = ["interval" if name.endswith("interval") else name for name in names]
    rows = [
        (visible(f"{row.group}{'*' if row.few else ''}"), *map(cells(row).__getitem__, names))
        for row in (found.everyone, *found.groups)
    ]
    title = f"share of {found.unit}; {interval_title(found)}; * its interval may be too narrow"
    table = _fitting(console, title, [visible(found.grouping), *headings], rows)
    # What is wrong comes first.
    for warning in found.warnings:
        say(f"note: {warning}")
    console.print(table)
    if len(table.columns) <= len(headings):
        say("the terminal is too narrow for all columns; survey.csv (--output DIR) has the others")
    for path in files:
        print(path)


def _fitting(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of so many columns as fit without a cut number; the name of a group may be folded."""
    kept = list(range(len(headings)))
    droppable = [number for name in _DROPPED for number, heading in enumerate(headings) if heading == name]
    widths = [max(cell_len(row[number]) for row in (headings, *rows)) for number in kept]
    widths[0] = min(widths[0], _GROUP)
    while (too_wide := sum(widths[number] + 3 for number in kept) + 1 > console.width) and droppable:
        kept.remove(droppable.pop(0))
    if too_wide:  # a block for each group
        table = Table(title=title, title_justify="left", show_header=False)
        for row in rows:
            for number in kept:
                table.add_row(Text(headings[number]), Text(row[number]))
            table.add_section()
        return table
    # Brackets are no markup: [s.d.] is a date.
    columns = numbers(*(headings[number] for number in kept[1:]), no_wrap=True)
    table = Table(Column(Text(headings[0]), overflow="fold"), *columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(row[number]) for number in kept))
    return table
