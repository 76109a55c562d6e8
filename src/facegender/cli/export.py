"""``facegender export``: from a finished run to a network that ships, and its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from facegender.cli.laboratory import require_training
from facegender.cli.root import app, command_line, numbers, results_console


@app.command()
def export(
    run: Annotated[
        str,
        typer.Argument(
            help="Folder of a finished run (see: facegender train). Or a shipped network or an .onnx file, to be "
            "calibrated anew."
        ),
    ],
    *,
    validate: Annotated[
        list[Path],
        typer.Option(metavar="STORE", help="Calibrate and check on the validation split of this store; repeatable."),
    ],
    test: Annotated[
        list[Path],
        typer.Option(
            metavar="STORE",
            help="Test on this store: its test split where the run learned from it or it validates, all of it "
            "otherwise; faces that were learned from are left out; repeatable.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the weights.")],
    licence: Annotated[str, typer.Option(help="Terms of the training data, for the card.")],
    form: Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="Runtime that will run it.")] = "onnx",
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="Precision of the weights; int8 also computes in 8 bits.")
    ] = "fp32",
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="Answer from each crop and its mirror image: more accurate, in twice the time."),
    ] = False,
    max_loss: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="POINTS",
            help="Write nothing where more points of validation accuracy are lost against fp32.",
        ),
    ] = 0.1,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for NAME.onnx, or NAME.xml and NAME.bin, with NAME.seen.npz and NAME.json."
        ),
    ] = Path(),
) -> None:
    """Write a run's network with normalisation and calibration inside, and a card of what was measured on it."""
    require_training()
    from facegender.lab.datasets.store import open_stores
    from facegender.lab.export.run import export_run

    done = export_run(
        run,
        list(open_stores(validate).values()),
        list(open_stores(test).values()),
        output,
        name,
        licence=licence,
        command=command_line(),
        form=form,
        precision=precision,
        mirror=mirror,
        max_loss=max_loss,
    )
    console = results_console(160)
    table = Table("validation, accuracy %", *numbers("fp32", f"{precision} written"))
    for where, (before, after) in done.validation.items():
        table.add_row(where, f"{100 * before:.2f}", f"{100 * after:.2f}")
    console.print(table)
    typer.echo(f"lost over all: {done.lost:.2f} points")

    table = Table("test", "faces", "accuracy % (95 % interval)", "women", "men", "ECE %", "answered at 1 % error")
    for where, measured in done.card["accuracy"].items():
        low, high = measured["accuracy_wilson_95"]
        answered = measured["answered"]["0.01"]
        table.add_row(
            where,
            f"{measured['count']:,}",
            f"{100 * measured['accuracy']:.2f} ({100 * low:.2f} to {100 * high:.2f})",
            f"{100 * measured['female_accuracy']:.2f}",
            f"{100 * measured['tpr']:.2f}",
            f"{100 * measured['expected_calibration_error']:.2f}",
            f"{100 * answered['coverage']:.1f} %, {100 * answered['error']:.2f} % of them wrong",
        )
    console.print(table)
    for path in done.files:
        typer.echo(path)
