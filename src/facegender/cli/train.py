"""``facegender train``: one run of a recipe on a prepared store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from facegender.cli import laboratory
from facegender.cli.root import app, say
from facegender.errors import InputError


@app.command()
def train(
    store: laboratory.StoreArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; an interrupted one is resumed.")],
    recipe: laboratory.RecipeOption = "paper",
    holdout: Annotated[
        str | None,
        typer.Option(
            help="Learn from all folds but this one and measure on it: ASSIGNMENT:NUMBER, such as identity:10.  "
            "[default: learn from the train split, measure on the validation split]"
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Learn from every split, also from the test split: then no face of STORE can test the network.",
        ),
    ] = False,
    lessons: Annotated[
        Path | None,
        typer.Option(
            help="File (.npz) with a teacher's answers for the crops (studies/teachers); the recipe sets their weight."
        ),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(help="Which of the answers in --lessons to use: logit, or logit_cc0.  [default: logit]"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Begin with the weights of a network instead of random ones: a shipped name, an .onnx file, or a "
            "finished run. The faces that it learned from count as seen."
        ),
    ] = None,
    changes: laboratory.SetOption = None,
    accelerator: laboratory.AcceleratorOption = "auto",
    devices: laboratory.DevicesOption = 1,
) -> None:
    """Train one network. An interrupted run is resumed after its last whole epoch."""
    laboratory.require_training()
    import numpy as np

    from facegender.lab.datasets.store import open_store
    from facegender.lab.evaluation.crossval import fold_examples, split_examples
    from facegender.lab.evaluation.metrics import measure, p_male_from_logits
    from facegender.lab.training.hardware import Hardware, is_main_process
    from facegender.lab.training.lessons import load_lessons
    from facegender.lab.training.loop import Examples
    from facegender.lab.training.loop import train as run
    from facegender.lab.training.model import predict_logits
    from facegender.lab.training.recipe import load_recipe
    from facegender.lab.training.settings import read_changes
    from facegender.lab.training.start import open_start

    settings = load_recipe(recipe, **read_changes(changes or ()))
    data = open_store(store)
    if everything and holdout is not None:
        raise InputError("--all and --holdout cannot both be given", remedy="give one")
    if everything:
        examples = Examples(data, np.arange(len(data)))
    elif holdout is None:
        examples = split_examples(data)
    else:
        assignment, _, number = holdout.partition(":")
        if not number.isdecimal():
            raise InputError(f"--holdout {holdout!r} is not ASSIGNMENT:NUMBER", remedy="such as identity:10")
        examples = fold_examples(data, assignment, int(number))
    if answer is not None and lessons is None:
        raise InputError("--answer is one of a teacher's lessons", remedy="give --lessons FILE too")
    if lessons is not None:
        taught = load_lessons(lessons, data, answer or "logit")
        examples = replace(examples, lessons=taught)
        say(f"the teacher knows {taught.known(examples.train):,} of {len(examples.train):,} crops to learn from")
    first = None if start is None else open_start(start)
    trained = run(settings, examples, output, Hardware(accelerator, devices), first)
    if not is_main_process():
        return
    last = trained.history[-1]
    watched = ""
    if examples.heldout is not None:
        # Asked again: the model's batch normalisation may have been finished after the last epoch.
        p_male = p_male_from_logits(predict_logits(trained.classifier, data.crops, examples.heldout))
        measured = measure(data.labels[examples.heldout], p_male)
        watched = f", held out {100 * measured.accuracy:.2f} % (balanced {100 * measured.balanced_accuracy:.2f} %)"
    splits = ", ".join(f"{count:,} {split}" for split, count in trained.provenance.learned.uses[0].splits.items())
    typer.echo(
        f"{settings.name}: {last.epoch} epochs, training accuracy {100 * last.accuracy:.2f} %{watched}, "
        f"{last.images_per_second:,.0f} images/s\nlearned from {splits}\n"
        f"{output / 'model.safetensors'}\n{output / 'curve.png'}"
    )
