"""``facegender calibration``: calibration error and coverage of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from facegender.cli.laboratory import ModelArgument, StoresArgument, require_training, unseen
from facegender.cli.root import app, command_line, numbers, results_console, say


@app.command()
def calibration(
    model: ModelArgument,
    stores: StoresArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for calibration.csv, reliability.png, risk_coverage.png."),
    ] = None,
) -> None:
    """Measure calibration error, and how many faces are answered at which error: by set, by group, on damaged faces.

    A store that the network knows is tested on its test split, any other as a whole. Faces that it has seen are left
    out.
    """
    require_training()
    import numpy as np

    from facegender.lab.datasets.store import open_stores
    from facegender.lab.evaluation.models import open_model
    from facegender.lab.evaluation.reliability import (
        FEWEST,
        damaged,
        draw_reliability,
        draw_risk_coverage,
        measure_reliability,
        write_reliability,
    )
    from facegender.lab.evaluation.subgroups import grouped, grouping_attributes

    network = open_model(model)
    if network.confidence is None:
        say("note: a run that was not exported has no thresholds: how many faces it answers is not known")
    rows, panels, sets = [], {}, {}
    for name, store in open_stores(stores).items():
        index = unseen(network, store).index
        labels, p_male = store.labels[index], network.p_male(store.crops, index)
        sets[name] = (labels, p_male)
        panels[name] = {"all": sets[name]}
        rows.append(measure_reliability(name, "none", "all", labels, p_male, network.confidence))
        for column in grouping_attributes(store):
            values = np.array(grouped(store, index, column))
            groups = {value: values == value for value in dict.fromkeys(values.tolist())}
            if few := sorted(value for value, mask in groups.items() if mask.sum() < FEWEST):
                say(f"note: {name}, by {column}: groups of fewer than {FEWEST} faces are left out: {', '.join(few)}")
            groups = {value: mask for value, mask in groups.items() if value not in few}
            if len(groups) > 1:
                panels[f"{name}, by {column}"] = {g: (labels[c], p_male[c]) for g, c in sorted(groups.items())}
                rows += [
                    measure_reliability(name, "none", f"{column}: {g}", labels[c], p_male[c], network.confidence)
                    for g, c in sorted(groups.items())
                ]
        rows += damaged(
            *(name, store.crops, index, labels),
            lambda crops: network.p_male(crops, np.arange(len(crops))),
            network.confidence,
        )
    table = Table(
        *("test", "damage", "group"),
        *numbers("faces", "accuracy %", "ECE %", "Brier", "sure %", "answered at 1 %", "wrong", "at 2 %", "wrong"),
        title=f"{network.name}: calibration and coverage",
        title_justify="left",
    )
    for number, row in enumerate(rows):
        if number and rows[number - 1].test != row.test:
            table.add_section()
        shares = (row.coverage_1, row.error_1, row.coverage_2, row.error_2)
        table.add_row(
            *(row.test, row.damage, row.group, f"{row.count:,}", f"{100 * row.accuracy:.2f}"),
            *(f"{100 * row.ece:.2f}", f"{row.brier:.4f}", f"{100 * row.confidence:.1f}"),
            *("-" if s is None else f"{100 * s:.{digits}f}" for s, digits in zip(shares, (1, 2, 1, 2), strict=True)),
        )
    results_console(140).print(table)
    if output is not None:
        title = f"{network.name}: what its probabilities are worth"
        write_reliability(output / "calibration.csv", network.name, rows, {"command": command_line()})
        draw_reliability(output / "reliability.png", panels, title)
        draw_risk_coverage(output / "risk_coverage.png", sets, f"{network.name}: error among the answered")
        for name in ("calibration.csv", "reliability.png", "risk_coverage.png"):
            typer.echo(output / name)
