"""``facegender crossdataset``: train on each dataset, test on every other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from facegender.cli import laboratory
from facegender.cli.root import app, given, numbers, results_console, say
from facegender.errors import InputError
from facegender.wording import counted


@app.command()
def crossdataset(
    context: typer.Context,
    stores: laboratory.StoresArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the runs and results; done runs are not repeated.")
    ],
    only_train: Annotated[
        list[str] | None, typer.Option("--only-train", metavar="NAME", help="Train on this store only; repeatable.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Train nothing and test this network: a shipped one, an .onnx file, or a finished run; repeatable.",
        ),
    ] = None,
    recipe: laboratory.RecipeOption = "tuned",
    changes: laboratory.SetOption = None,
    accelerator: laboratory.AcceleratorOption = "auto",
    devices: laboratory.DevicesOption = 1,
) -> None:
    """Train on the train split of each store, test on the test split of every store.

    The results are a matrix (CSV, PNG, SVG), the same by subgroup, every answer, and the faces that leak from a
    train split into a test split, with the accuracy without them.
    """
    laboratory.require_training()
    from facegender.lab.datasets.store import open_stores
    from facegender.lab.evaluation.crossdataset import MatrixCell, cross_dataset, cross_test
    from facegender.lab.evaluation.models import open_models
    from facegender.lab.training.hardware import Hardware
    from facegender.lab.training.recipe import load_recipe
    from facegender.lab.training.settings import read_changes

    if model and (idle := given(context, "only_train", "recipe", "changes", "accelerator", "devices")):
        raise InputError(f"--model trains nothing; {idle[0]} is for training", remedy="leave one of them out")

    def say_cell(cell: MatrixCell) -> None:
        low, high = (f"{100 * end:.2f}" for end in cell.predictions.interval)
        share = f"{100 * cell.metrics.accuracy:.2f} % of {counted(cell.metrics.count, 'face')}"
        say(f"{cell.trained_on} -> {cell.tested_on}: {share} ({low} to {high})")

    opened = open_stores(stores)
    if model:
        result = cross_test(open_models(model), opened, output, on_cell=say_cell)
    else:
        settings = load_recipe(recipe, **read_changes(changes or ()))
        hardware = Hardware(accelerator, devices)
        result = cross_dataset(
            settings, opened, output, only_train=only_train or (), hardware=hardware, on_cell=say_cell
        )
    if not result:  # another process prints
        return
    columns = list(dict.fromkeys(cell.tested_on for cell in result))
    table = Table(
        Column("trained on \\ tested on", no_wrap=True),
        *numbers(*columns, no_wrap=True),
        title="Accuracy in % (women / men)",
        title_justify="left",
    )
    for start in range(0, len(result), len(columns)):
        row = result[start : start + len(columns)]
        shown = [
            f"{100 * c.metrics.accuracy:.2f} ({100 * c.metrics.female_accuracy:.1f} / {100 * c.metrics.tpr:.1f})"
            for c in row
        ]
        table.add_row(row[0].trained_on, *shown)
    results_console(200).print(table)
    for cell in result:
        where = f"{cell.trained_on} -> {cell.tested_on}"
        if cell.left_out:
            typer.echo(f"{where}: {cell.left_out:,} test faces that it has seen are left out")
        if unleaked := cell.without_leaks:
            leaked = cell.metrics.count - unleaked[0]
            without = f"; without them {100 * unleaked[1] / unleaked[0]:.2f} %" if unleaked[0] else ""
            typer.echo(f"{where}: {leaked:,} test faces were trained on as photo or person{without}")
    for name in ("matrix.csv", "subgroups.csv", "matrix.png", "leaks.csv"):
        typer.echo(output / name)
