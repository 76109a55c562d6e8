"""``facegender crossval``: ten folds of a recipe on a prepared store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from facegender.cli import laboratory
from facegender.cli.root import app, numbers, say

_SHOWN = {
    "accuracy": "accuracy",
    "tpr": "TPR (men)",
    "fpr": "FPR",
    "precision": "precision",
    "female_accuracy": "women",
    "balanced_accuracy": "balanced",
    "auc": "AUC",
}


@app.command()
def crossval(
    store: laboratory.StoreArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the runs; done folds are not repeated.")],
    folds: Annotated[str, typer.Option(help="random (the paper's) or identity (nobody in two folds).")] = "random",
    only: Annotated[list[int] | None, typer.Option(help="Test this fold only; repeatable.")] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Test on the mean of each crop's logits and its mirror image's.")
    ] = False,
    recipe: laboratory.RecipeOption = "paper",
    changes: laboratory.SetOption = None,
    accelerator: laboratory.AcceleratorOption = "auto",
    devices: laboratory.DevicesOption = 1,
) -> None:
    """Train on all folds but one and test on that one, for each; mean and standard deviation over the folds."""
    laboratory.require_training()
    from facegender.lab.datasets.store import open_store
    from facegender.lab.evaluation.crossval import cross_validate
    from facegender.lab.training.hardware import Hardware, is_main_process
    from facegender.lab.training.recipe import load_recipe
    from facegender.lab.training.settings import read_changes

    settings = load_recipe(recipe, **read_changes(changes or ()))
    data = open_store(store)
    result = cross_validate(
        settings,
        data,
        folds,
        output,
        only=only,
        mirror=mirror,
        hardware=Hardware(accelerator, devices),
        on_fold=lambda fold, metrics: say(
            f"fold {fold}: accuracy {100 * metrics.accuracy:.2f} %, balanced {100 * metrics.balanced_accuracy:.2f} %"
        ),
    )
    if not is_main_process():
        return
    table = Table(
        "fold",
        *numbers(*_SHOWN.values()),
        title=f"{data.name}, {len(result.per_fold)} {folds} folds, recipe {settings.name}, "
        f"{settings.network}, {settings.colour}{', mirrored too' if mirror else ''}; in %",
        title_justify="left",
    )
    for number, metrics in result.per_fold.items():
        table.add_row(str(number), *(f"{100 * getattr(metrics, name):.2f}" for name in _SHOWN))
    table.add_section()
    table.add_row("mean", *(f"{100 * result.mean(name):.2f}" for name in _SHOWN), style="bold")
    table.add_row("std", *(f"{100 * result.std(name):.2f}" for name in _SHOWN))
    low, high = result.interval
    of_people = " for the effective number of faces, since several are of one person" if any(result.people) else ""
    console = Console()
    console.print(table)
    console.print(f"Accuracy over all faces, 95 % Wilson interval{of_people}: {100 * low:.2f} to {100 * high:.2f} %.")
    if only is None:
        typer.echo(output / "folds.csv")
