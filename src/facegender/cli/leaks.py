"""``facegender leaks``: copies and people in two splits or two datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from facegender.cli.evaluation import StoresArgument
from facegender.cli.extras import require_training
from facegender.cli.root import app, results_console

if TYPE_CHECKING:
    from facegender.lab.evaluation.leaks import LeakCount


@app.command()
def leaks(
    stores: StoresArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for leaks.csv and leaked_faces.csv.")],
) -> None:
    """Look for the same photo or the same person in two splits of a dataset, or in two datasets."""
    from facegender.lab.datasets.store import open_stores

    require_training()
    from facegender.lab.evaluation.leaks import count_leaks, find_leaks, write_leaks

    opened = open_stores(stores)
    found = find_leaks(opened)
    counts = count_leaks(opened, found)
    write_leaks(output, counts, found)
    console = results_console(200)
    if any(count.leaked for count in counts):
        console.print(leak_table(counts))
    else:
        console.print("Nothing leaks.")
    for name in ("leaks.csv", "leaked_faces.csv"):
        console.print(str(output / name), soft_wrap=True)


def leak_table(counts: Sequence[LeakCount]) -> Table:
    """The counts that are not 0."""
    table = Table(title="Faces that have their like elsewhere", title_justify="left")
    table.add_column("faces of", no_wrap=True)
    table.add_column("in", no_wrap=True)
    for heading in ("faces", "copies", "near copies", "same person", "any"):
        table.add_column(heading, justify="right")
    for count in counts:
        if count.leaked:
            table.add_row(
                f"{count.store} {count.split}",
                f"{count.other_store} {count.other_split}",
                *(f"{n:,}" for n in (count.faces, count.copies, count.near_copies)),
                "-" if count.same_person is None else f"{count.same_person:,}",
                f"{count.leaked:,}",
            )
    return table
