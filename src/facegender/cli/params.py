"""`facegender params`: how large the networks are, beside what the paper says."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Column, Table

from facegender.cli.root import app, numbers, require, results_console
from facegender.tables import csv_text

#: How numbers are printed.
TableFormat: TypeAlias = Literal["table", "csv", "json"]
FormatOption = Annotated[TableFormat, typer.Option("--format", help="How to print it.")]


@app.command()
def params(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NETWORK", help="Such as residual or custom-cnn-table1; none: the paper's tables."),
    ] = None,
    gray: Annotated[bool, typer.Option("--gray", help="One input channel instead of three.")] = False,
    classes: Annotated[int | None, typer.Option(min=2, help="Outputs of the last layer.", show_default="2")] = None,
    form: FormatOption = "table",
) -> None:
    """Count parameters, layer by layer.

    Without NETWORK: the paper's Tables 3 and 4 beside the counts of the networks as implemented, and
    why they differ. With NETWORK: its layers, multiply-accumulates (MACs) and the size of its weights.
    It counts PyTorch modules: it needs the extra train.
    """
    require("train", "torch")
    console = results_console(100)
    if name is not None:
        _one(name, 1 if gray else 3, classes or 2, form, console)
    elif gray or classes is not None:
        raise typer.BadParameter("--gray and --classes need a NETWORK: the paper's tables have their own.")
    else:
        _paper(form, console)


def _one(name: str, channels: int, classes: int, form: TableFormat, console: Console) -> None:
    from facegender.lab.networks.counting import count_layers, total, weight_bytes
    from facegender.lab.networks.registry import describe

    network = describe(name, channels=channels, classes=classes)
    counted = count_layers(network)
    columns = ("layer", "feature_size", "weights", "biases", "parameters", "macs")
    *rows, whole = [{column: getattr(row, column) for column in columns} for row in [*counted, total(counted)]]
    if form == "json":
        about = {"network": name, "input": list(network.input_shape), "classes": classes}
        record = {**about, "layers": rows, "total": whole, "weight_bytes": weight_bytes(network)}
        typer.echo(json.dumps(record, indent=2))
    elif form == "csv":
        typer.echo(csv_text([*rows, whole]), nl=False)
    else:
        title = f"{name}, input {counted[0].feature_size}, {classes} classes"
        counts = numbers("Weights", "Biases", "Parameters", "MACs")
        table = Table(Column("Layer", no_wrap=True), "Gives", *counts, title=title, title_justify="left")
        for row in rows:
            table.add_row(*_cells(row))
        table.add_section()
        table.add_row(*_cells(whole), style="bold")
        console.print(table)
        typer.echo(f"Bytes of weights: {', '.join(f'{key} {size:,}' for key, size in weight_bytes(network).items())}")


def _paper(form: TableFormat, console: Console) -> None:
    from facegender.lab.paper.comparison import NOTES, compare_table3, compare_table4

    table3, table4 = compare_table3(), compare_table4()
    if form == "json":
        typer.echo(json.dumps({"table3": table3, "table4": table4, "notes": NOTES}, indent=2))
    elif form == "csv":
        typer.echo(csv_text(_long("table3", "layer", table3) + _long("table4", "network", table4)), nl=False)
    else:
        console.print(
            _comparison("Table 3, published and counted for custom-cnn-table3 and -table1 (RGB, 2 classes)", table3)
        )
        console.print()
        console.print(_comparison("Table 4, published and counted at 1000 and at 2 classes", table4))
        console.print("\nWhy they differ")
        for note in NOTES:
            console.print(f"- {note}")


def _comparison(title: str, records: list[dict[str, Any]]) -> Table:
    """A table of `records`; total in bold."""
    table = Table(title=title, title_justify="left")
    for column, (key, value) in enumerate(records[0].items()):
        table.add_column(key, justify="right" if isinstance(value, int) else "left", no_wrap=column == 0)
    for record in records:
        table.add_row(*_cells(record), style="bold" if record.get("layer") == "Total" else None)
    return table


def _cells(record: dict[str, Any]) -> list[str]:
    return [f"{value:,}" if isinstance(value, int) else value for value in record.values()]


def _long(table: str, key: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record a cell, so that two tables of different columns fit one CSV."""
    return [
        {"table": table, "row": number, "name": record[key], "column": column, "value": value}
        for number, record in enumerate(records, start=1)
        for column, value in record.items()
        if column != key
    ]
