"""``facegender leaks``: copies and people in two splits or two datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from facegender.cli.laboratory import StoresArgument, require_training
from facegender.cli.root import app, numbers, results_console


@app.command()
def leaks(
    stores: StoresArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for leaks.csv and leaked_faces.csv.")],
) -> None:
    """Look for the same photo or the same person in two splits of a dataset, or in two datasets."""
    require_training()
    from facegender.lab.datasets.store import open_stores
    from facegender.lab.evaluation.leaks import count_leaks, find_leaks, write_leaks

    opened = open_stores(stores)
    found = find_leaks(opened)
    counts = count_leaks(opened, found)
    write_leaks(output, counts, found)
    table = Table(
        *(Column(heading, no_wrap=True) for heading in ("faces of", "in")),
        *numbers("faces", "copies", "near copies", "same person", "any"),
        title="Faces that have their like elsewhere",
        title_justify="left",
    )
    for count in counts:
        if count.leaked:
            table.add_row(
                f"{count.store} {count.split}",
                f"{count.other_store} {count.other_split}",
                *(f"{n:,}" for n in (count.faces, count.copies, count.near_copies)),
                "-" if count.same_person is None else f"{count.same_person:,}",
                f"{count.leaked:,}",
            )
    results_console(200).print(table if table.rows else "Nothing leaks.")
    typer.echo(f"{output / 'leaks.csv'}\n{output / 'leaked_faces.csv'}")
