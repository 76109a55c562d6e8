"""``facegender join``: several prepared stores as one to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.laboratory import StoresArgument, require_training
from facegender.cli.root import app
from facegender.errors import InputError


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
    require_training()
    from facegender.lab.datasets.join import join_stores
    from facegender.lab.datasets.store import open_stores
    from facegender.lab.evaluation.leaks import find_leaks

    given = [*stores, *(test or [])]
    if output.resolve() in {folder.resolve() for folder in given}:
        raise InputError(f"{output} is one of the stores to be joined", remedy="choose another --output")
    opened = open_stores(given)
    tests = list(opened)[len(stores) :]
    for name, count in join_stores(opened, tests, find_leaks(opened), output).items():
        typer.echo(f"{name}: " + ", ".join(f"{number:,} {what}" for what, number in count.items()))
    typer.echo(output)
