"""``facegender errors``: a picture of the misclassified faces (Figure 8)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.laboratory import ModelArgument, SplitOption, StoreArgument, require_training, unseen
from facegender.cli.root import app


@app.command()
def errors(
    store: StoreArgument,
    model: ModelArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for errors.png and errors.csv.")],
    split: SplitOption = "test",
    limit: Annotated[int, typer.Option(min=1, help="Most faces shown of each gender; the CSV lists all.")] = 40,
) -> None:
    """Draw the misclassified faces, the most confident mistakes first, women above and men below.

    The picture shows people of a research dataset: it is made for you, on this machine. Do not publish or commit it
    unless the dataset's terms allow that.
    """
    require_training()
    from facegender.lab.datasets.store import open_store
    from facegender.lab.evaluation.gallery import mistakes, write_gallery
    from facegender.lab.evaluation.models import open_model

    data, network = open_store(store), open_model(model)
    index = unseen(network, data, split).index
    found = mistakes(data, index, network.p_male(data.crops, index))
    title = f"{network.name} on {data.name}, {split}: {len(found):,} of {len(index):,} faces misclassified"
    write_gallery(output, data, found, limit, title)
    typer.echo(f"{title} ({len(found) / len(index):.2%})\n{output / 'errors.csv'}\n{output / 'errors.png'}")
