"""`facegender params`: how large the networks are, beside what the paper says."""

from __future__ import annotations

import csv
import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from facegender.cli.root import app
from facegender.networks.accounting import Row, account, as_table3, parameters, total, weight_bytes
from facegender.networks.layers import Network
from facegender.networks.registry import NAMES, network
from facegender.paper import published

#: Table 4's names for the networks, and ours.
_TABLE4 = {
    "custom CNN": ("custom-cnn-table3", "custom-cnn-table1"),
    "GoogLeNet": ("googlenet",),
    "AlexNet": ("alexnet",),
}

_NOTES = (
    "Table 3 rounds pooled sizes half up, so FC-1 reads 3x3x512 values. Table 1's layers with pools that "
    "round down, as frameworks do, give 2x2x512. Both are here: custom-cnn-table3 and custom-cnn-table1. "
    "The 256,000 parameters between them are all in FC-1 and only ever multiply the last pool's padding.",
    "Table 1 has one input channel, Table 3 three. The counts above are for three; one channel takes 144 "
    "parameters off Conv-1.",
    "Table 4 gives AlexNet (ungrouped) with its 1000 ImageNet classes, the custom CNN with two. No GoogLeNet "
    "has 6,799,700 parameters: that is a sum of rounded figures. Without auxiliary heads it has 6,998,552 at "
    "1000 classes, of which 6,990,272 are weights.",
)


class Format(StrEnum):
    """How the numbers are printed."""

    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def params(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NETWORK", help=f"One of {', '.join(NAMES)}; none: the paper's tables."),
    ] = None,
    gray: Annotated[bool, typer.Option("--gray", help="One input channel instead of three.")] = False,
    classes: Annotated[int | None, typer.Option(min=2, help="Outputs of the last layer.", show_default="2")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.table,
) -> None:
    """Count parameters, layer by layer.

    Without NETWORK: the paper's Tables 3 and 4 beside the counts of the networks as implemented, and
    why they differ. With NETWORK: its layers, multiply-accumulates (MACs) and the size of its weights.
    """
    # Set when used, not at import: rich asks the terminal for its width. Piped text gets 100 columns.
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    if name is not None:
        _one(network(name, channels=1 if gray else 3, classes=classes or 2), form, console)
    elif gray or classes is not None:
        raise typer.BadParameter("--gray and --classes need a NETWORK: the paper's tables have their own.")
    else:
        _paper(form, console)


def _one(net: Network, form: Format, console: Console) -> None:
    rows = account(net)
    if form is Format.json:
        record = {
            "network": net.name,
            "input": [net.channels, net.input_size, net.input_size],
            "classes": net.classes,
            "layers": [_record(row) for row in rows],
            "total": _record(total(rows)),
            "weight_bytes": weight_bytes(net),
        }
        typer.echo(json.dumps(record, indent=2))
    elif form is Format.csv:
        _write_csv([_record(row) for row in [*rows, total(rows)]])
    else:
        table = Table(title=f"{net.name}, input {net.input_shape}, {net.classes} classes", title_justify="left")
        table.add_column("Layer", no_wrap=True)
        table.add_column("Gives")
        for heading in ("Weights", "Biases", "Parameters", "MACs"):
            table.add_column(heading, justify="right")
        for row in rows:
            table.add_row(row.layer, row.feature_size, *_counts(row))
        table.add_section()
        table.add_row("total", "", *_counts(total(rows)), style="bold")
        console.print(table)
        sizes = ", ".join(f"{key} {size:,}" for key, size in weight_bytes(net).items())
        console.print(f"Bytes of weights: {sizes}", soft_wrap=True)


def _paper(form: Format, console: Console) -> None:
    table3, table4 = _table3(), _table4()
    if form is Format.json:
        typer.echo(json.dumps({"table3": table3, "table4": table4, "notes": _NOTES}, indent=2))
    elif form is Format.csv:
        _write_csv(_long("table3", "layer", table3) + _long("table4", "network", table4))
    else:
        console.print(
            _comparison("Table 3, published and counted for custom-cnn-table3 and -table1 (RGB, 2 classes)", table3)
        )
        console.print()
        console.print(_comparison("Table 4, published and counted at 1000 and at 2 classes", table4))
        console.print("\nWhy they differ")
        for note in _NOTES:
            console.print(f"- {note}")


def _table3() -> list[dict[str, Any]]:
    """Table 3's rows with the sizes and parameters published, and counted for both custom CNNs."""
    counted = {}
    for key in ("table3", "table1"):
        rows = as_table3(account(network(f"custom-cnn-{key}")))
        counted[key] = [*rows, total(rows)]
    return [
        {
            "layer": printed.layer,
            "published size": printed.feature_size,
            "table3 size": ours3.feature_size,
            "table1 size": ours1.feature_size,
            "published": printed.parameters,
            "table3": ours3.parameters,
            "table1": ours1.parameters,
        }
        for printed, ours3, ours1 in zip(published.table3(), counted["table3"], counted["table1"], strict=True)
    ]


def _table4() -> list[dict[str, Any]]:
    """Table 4's rows, the custom CNN once for each of its variants, with counts at 1000 and 2 classes."""
    return [
        {
            "network": name,
            "input": printed.input,
            "mini-batch": printed.mini_batch,
            "main layers": printed.main_layers,
            "published": printed.parameters,
            "1000 classes": parameters(network(name, classes=1000)),
            "2 classes": parameters(network(name, classes=2)),
        }
        for printed in published.table4()
        for name in _TABLE4[printed.network]
    ]


def _comparison(title: str, records: list[dict[str, Any]]) -> Table:
    """A table of `records`; total in bold."""
    table = Table(title=title, title_justify="left")
    for column, (key, value) in enumerate(records[0].items()):
        table.add_column(key, justify="right" if isinstance(value, int) else "left", no_wrap=column == 0)
    for record in records:
        cells = [f"{value:,}" if isinstance(value, int) else value for value in record.values()]
        table.add_row(*cells, style="bold" if record.get("layer") == "Total" else None)
    return table


def _long(table: str, key: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record a cell, so that two tables of different columns fit one CSV."""
    return [
        {"table": table, "row": number, "name": record[key], "column": column, "value": value}
        for number, record in enumerate(records, start=1)
        for column, value in record.items()
        if column != key
    ]


def _record(row: Row) -> dict[str, Any]:
    return {
        "layer": row.layer,
        "feature_size": row.feature_size,
        "weights": row.weights,
        "biases": row.biases,
        "parameters": row.parameters,
        "macs": row.macs,
    }


def _counts(row: Row) -> list[str]:
    return [f"{count:,}" for count in (row.weights, row.biases, row.parameters, row.macs)]


def _write_csv(records: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
