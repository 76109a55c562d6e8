"""``facegender reproduce``: the paper's experiments, as far as the available data allow, and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.laboratory import AcceleratorOption, DevicesOption, require_training
from facegender.cli.root import app, say
from facegender.progress import Bar


@app.command()
def reproduce(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of runs and report; done parts are kept.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with lfw/, celeba/, utkface/, fairface/, imdb/ and wiki/ as their authors ship them."
        ),
    ] = None,
    stores: Annotated[
        Path | None,
        typer.Option(help="Folder of prepared stores, preferred to DATA.  [default: OUTPUT/stores]"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One fold and a few epochs: a quarter of an hour.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Ten folds of everything: for a GPU.")] = False,
    accelerator: AcceleratorOption = "auto",
    devices: DevicesOption = 1,
) -> None:
    """Run the paper's experiments and write report.html and report.md, published beside measured.

    Without --quick or --full: one fold, the custom CNN with all its epochs, the baselines at half their input for
    one or two. An interrupted run is resumed.
    """
    if quick and full:
        raise typer.BadParameter("--quick and --full exclude each other.")
    require_training()
    from facegender.lab.paper import scale as scales
    from facegender.lab.paper.reproduce import reproduce as run
    from facegender.lab.training.hardware import Hardware, is_main_process

    scale = scales.quick() if quick else scales.full() if full else scales.standard()
    with Bar("cropping") as bar:
        report = run(
            scale,
            output,
            data=data,
            stores=stores,
            hardware=Hardware(accelerator, devices),
            on_part=say,
            on_image=lambda total: bar.step(total=total),
        )
    if is_main_process():
        typer.echo(report)
