"""``facegender export``: from a finished run to a network that ships, and its card."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from facegender.cli.extras import require_training
from facegender.cli.root import app, command_line, results_console

if TYPE_CHECKING:
    from facegender.lab.export.run import Export


class Form(StrEnum):
    """What runs the files."""

    ONNX = "onnx"
    OPENVINO = "openvino"


class WeightPrecision(StrEnum):
    """How weights are stored."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


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
        typer.Option(
            "--validate",
            metavar="STORE",
            help="Calibrate and check on the validation split of this store; repeatable.",
        ),
    ],
    test: Annotated[
        list[Path],
        typer.Option(
            "--test",
            metavar="STORE",
            help="Test on this store: its test split where the run learned from it or it validates, all of it "
            "otherwise; faces that were learned from are left out; repeatable.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the weights.")],
    licence: Annotated[str, typer.Option("--licence", help="Terms of the training data, for the card.")],
    form: Annotated[Form, typer.Option("--format", help="What will run it.")] = Form.ONNX,
    precision: Annotated[
        WeightPrecision, typer.Option("--precision", help="Precision of the weights; int8 also computes in 8 bits.")
    ] = WeightPrecision.FP32,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="Answer from each crop and its mirror image: truer, in twice the time."),
    ] = False,
    max_loss: Annotated[
        float,
        typer.Option(
            "--max-loss",
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
    from facegender.lab.datasets.store import open_stores

    require_training()
    from facegender.lab.export.run import export_run

    done = export_run(
        run,
        list(open_stores(validate).values()),
        list(open_stores(test).values()),
        output,
        name,
        licence=licence,
        command=command_line(),
        form=form.value,
        precision=precision.value,
        mirror=mirror,
        max_loss=max_loss,
    )
    _print(done, precision)


def _print(done: Export, precision: WeightPrecision) -> None:
    console = results_console(160)
    table = Table("validation, accuracy %", title_justify="left")
    for heading in ("fp32", f"{precision.value} written"):
        table.add_column(heading, justify="right")
    for where, (before, after) in done.validation.items():
        table.add_row(where, f"{100 * before:.2f}", f"{100 * after:.2f}")
    console.print(table)
    console.print(f"lost over all: {done.lost:.2f} points", soft_wrap=True)

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
        console.print(str(path), soft_wrap=True)
