"""``facegender export``: from a cross-validated fold to ONNX and its card."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from facegender.cli.root import app
from facegender.cli.training import StoreArgument, require_training


@app.command()
def export(
    store: StoreArgument,
    crossval: Annotated[Path, typer.Argument(help="Folder of a finished facegender crossval on that store.")],
    name: Annotated[str, typer.Option(help="Name of the weights.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for NAME.onnx and NAME.json.")] = Path(),
    folds: Annotated[str, typer.Option(help="Which folds the cross-validation used.")] = "identity",
    fold: Annotated[int, typer.Option(help="Whose model; the others calibrate it, its own crops test it.")] = 10,
    licence: Annotated[str, typer.Option(help="Terms of the training data, for the card.")] = "unstated",
) -> None:
    """Write one fold's network as ONNX with its card, calibrated on the other folds and tested on its own."""
    from facegender.datasets.store import open_store

    require_training()
    from facegender.export import export_fold

    command = shlex.join(["facegender", *sys.argv[1:]])
    card = export_fold(crossval, fold, open_store(store), folds, output, name, licence=licence, command=command)
    test, measured = next(iter(card["accuracy"].items()))
    Console(highlight=False).print(
        f"{output / name}.onnx: {card['parameters']:,} parameters, temperature {card['temperature']}, "
        f"on {test}: accuracy {100 * measured['accuracy']:.2f} %, balanced "
        f"{100 * measured['balanced_accuracy']:.2f} %",
        soft_wrap=True,
    )
