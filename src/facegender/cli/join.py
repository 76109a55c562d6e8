"""``facegender join``: several prepared stores as one to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from facegender.cli.evaluation import StoresArgument
from facegender.cli.extras import require_training
from facegender.cli.root import app


@app.command()
def join(
    stores: StoresArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the joined store.")],
    test: Annotated[
        list[Path] | None,
        typer.Option(metavar="STORE", help="A store for tests only: none of its crops is taken. Repeatable."),
    ] = None,
) -> None:
    """Join the train and validation crops of several stores, without copies and people that are also in a test set.

    They are found as `facegender leaks` finds them.
    """
    from facegender.errors import InputError
    from facegender.lab.datasets.join import join_stores
    from facegender.lab.datasets.store import open_stores

    require_training()
    from facegender.lab.evaluation.leaks import find_leaks

    given = [*stores, *(test or [])]
    if output.resolve() in {folder.resolve() for folder in given}:
        raise InputError(f"{output} is one of the stores to be joined", remedy="choose another --output")
    opened = open_stores(given)
    tests = list(opened)[len(stores) :]
    counts = join_stores(opened, tests, find_leaks(opened), output)
    console = Console(highlight=False)
    for name, count in counts.items():
        line = f"{name}: " + ", ".join(f"{number:,} {what}" for what, number in count.items())
        console.print(line, soft_wrap=True)
    console.print(str(output), soft_wrap=True)
