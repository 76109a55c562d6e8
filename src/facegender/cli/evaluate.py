"""``facegender evaluate``: one network on one prepared store."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from facegender.cli.laboratory import ModelArgument, SplitOption, StoreArgument, require_training, unseen
from facegender.cli.params import FormatOption
from facegender.cli.root import app, numbers
from facegender.tables import csv_text


@app.command()
def evaluate(
    store: StoreArgument,
    model: ModelArgument,
    split: SplitOption = "test",
    by: Annotated[
        str | None, typer.Option(metavar="ATTRIBUTE", help="Also by this column of the store, such as race or age.")
    ] = None,
    form: FormatOption = "table",
) -> None:
    """Measure a network: accuracy with its 95 % interval, by gender and by one attribute more."""
    require_training()
    from facegender.lab.datasets.store import open_store
    from facegender.lab.evaluation.models import open_model
    from facegender.lab.evaluation.subgroups import EVERYONE, subgroups

    data, network = open_store(store), open_model(model)
    faces = unseen(network, data, split)
    predictions = network.predict(data, faces.index)
    metrics = predictions.measure()
    groups = subgroups(data, faces.index, predictions.right)
    groups += subgroups(data, faces.index, predictions.right, by) if by else []
    if form == "json":
        record = {"model": network.name, "store": data.name, "split": split, "left_out": faces.left_out}
        record |= {"metrics": metrics.to_dict(), "groups": [group.to_dict() for group in groups]}
        typer.echo(json.dumps(record, indent=2))
    elif form == "csv":
        typer.echo(csv_text([group.to_dict() for group in groups]), nl=False)
    else:
        columns = numbers("faces", "accuracy %", "95 % interval")
        table = Table("", "gender", *columns, title=f"{network.name} on {data.name}, {split}", title_justify="left")
        for number, group in enumerate(groups):
            if number and groups[number - 1].value != group.value:
                table.add_section()
            low, high = group.interval
            interval = f"{100 * low:.2f} to {100 * high:.2f}"
            name = group.value if group.attribute == EVERYONE else f"{group.attribute}: {group.value}"
            table.add_row(name, group.gender, f"{group.count:,}", f"{100 * group.accuracy:.2f}", interval)
        Console(highlight=False).print(table)
        typer.echo(
            f"TPR {100 * metrics.tpr:.2f} %, FPR {100 * metrics.fpr:.2f} %, precision {100 * metrics.precision:.2f} %, "
            f"balanced accuracy {100 * metrics.balanced_accuracy:.2f} %, AUC {metrics.auc:.4f}; male is positive."
        )
