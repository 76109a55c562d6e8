"""``facegender crossdataset``: train on each dataset, test on every other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from facegender.cli.evaluation import StoresArgument
from facegender.cli.extras import require_training
from facegender.cli.root import app, results_console, stderr
from facegender.cli.training import (
    AcceleratorOption,
    DevicesOption,
    RecipeOption,
    SetOption,
)
from facegender.wording import counted

if TYPE_CHECKING:
    from facegender.lab.evaluation.crossdataset import MatrixCell


@app.command()
def crossdataset(
    context: typer.Context,
    stores: StoresArgument,
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
    recipe: RecipeOption = "tuned",
    changes: SetOption = None,
    accelerator: AcceleratorOption = "auto",
    devices: DevicesOption = 1,
) -> None:
    """Train on the train split of each store, test on the test split of every store.

    The results are a matrix (CSV, PNG, SVG), the same by subgroup, every answer, and the faces that leak from a
    train split into a test split, with the accuracy without them.
    """
    from facegender.errors import InputError
    from facegender.lab.datasets.store import open_stores

    require_training()
    from facegender.lab.evaluation.crossdataset import cross_dataset, cross_test
    from facegender.lab.evaluation.models import open_models
    from facegender.lab.training.hardware import Hardware
    from facegender.lab.training.recipe import load_recipe
    from facegender.lab.training.settings import read_changes

    if model:
        for name in ("only_train", "recipe", "changes", "accelerator", "devices"):
            source = context.get_parameter_source(name)
            if source is not None and source.name == "COMMANDLINE":
                option = "--set" if name == "changes" else f"--{name.replace('_', '-')}"
                raise InputError(f"--model trains nothing; {option} is for training", remedy="leave one of them out")
    opened = open_stores(stores)
    if model:
        result = cross_test(open_models(model), opened, output, on_cell=_say)
    else:
        settings = load_recipe(recipe, **read_changes(changes or ()))
        hardware = Hardware(accelerator, devices)
        result = cross_dataset(settings, opened, output, only_train=only_train or (), hardware=hardware, on_cell=_say)
    if result:  # otherwise another process prints
        _print(result, output)


def _say(cell: MatrixCell) -> None:
    low, high = cell.predictions.interval
    faces = counted(cell.metrics.count, "face")
    stderr.print(
        f"{cell.trained_on} -> {cell.tested_on}: {100 * cell.metrics.accuracy:.2f} % of {faces} "
        f"({100 * low:.2f} to {100 * high:.2f})"
    )


def _print(result: list[MatrixCell], output: Path) -> None:
    table = Table(title="Accuracy in % (women / men)", title_justify="left")
    table.add_column("trained on \\ tested on", no_wrap=True)
    columns = list(dict.fromkeys(cell.tested_on for cell in result))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for start in range(0, len(result), len(columns)):
        row = result[start : start + len(columns)]
        shown = [
            f"{100 * c.metrics.accuracy:.2f} ({100 * c.metrics.female_accuracy:.1f} / {100 * c.metrics.tpr:.1f})"
            for c in row
        ]
        table.add_row(row[0].trained_on, *shown)
    console = results_console(200)
    console.print(table)
    for cell in result:
        if cell.left_out:
            console.print(
                f"{cell.trained_on} -> {cell.tested_on}: {cell.left_out:,} test faces that it has seen are left out",
                soft_wrap=True,
            )
        if unleaked := cell.without_leaks:
            leaked = cell.metrics.count - unleaked[0]
            without = f"; without them {100 * unleaked[1] / unleaked[0]:.2f} %" if unleaked[0] else ""
            console.print(
                f"{cell.trained_on} -> {cell.tested_on}: {leaked:,} test faces were trained on as photo or person"
                f"{without}",
                soft_wrap=True,
            )
    for name in ("matrix.csv", "subgroups.csv", "matrix.png", "leaks.csv"):
        console.print(str(output / name), soft_wrap=True)
