"""``facegender train-detector``: from folders of photos and a teacher to the face detector of the package."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.laboratory import AcceleratorOption, SetOption, require_training
from facegender.cli.root import app, command_line
from facegender.machine import usable_cores


@app.command("train-detector")
def train_detector(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders of photos, split into training, validation and test by the first word of a name."),
    ],
    teacher: Annotated[Path, typer.Option(help="YuNet's ONNX file, which labels the photos.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; an interrupted one is resumed.")],
    train_only: Annotated[
        list[Path] | None,
        typer.Option("--train-only", help="A folder whose photos are all for training; repeatable."),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(help="dlib's 68-point shape predictor, which sets the landmarks; without it YuNet's are learned."),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="An exported detector to begin with, instead of random weights.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that label. Default: all cores.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="detector, or a TOML file.")] = "detector",
    licence: Annotated[str, typer.Option(help="Licence of the photos, for the card.")] = "unstated",
    changes: SetOption = None,
    accelerator: AcceleratorOption = "auto",
) -> None:
    """Train the face detector on what a teacher sees in your photos, and export it with its card.

    The photos are labelled first (seen at several sizes and mirrored), then the network is trained, its threshold
    is chosen on the validation photos, and it is compared with its teacher on the test photos. Each part goes on
    where it was interrupted.
    """
    require_training()
    from facegender.lab.detection.export import NAME, export_detector
    from facegender.lab.detection.loop import train_detector as run
    from facegender.lab.detection.photos import label_photos, open_photos
    from facegender.lab.detection.recipe import load_detector_recipe
    from facegender.lab.detection.teacher import Teacher
    from facegender.lab.training.hardware import Hardware
    from facegender.lab.training.settings import read_changes

    settings = load_detector_recipe(recipe, **read_changes(changes or ()))
    yunet = Teacher(teacher)
    photos, train_only = output / "photos", train_only or []
    teach = partial(Teacher, teacher, landmarks)
    label_photos(teach, sources, train_only, settings.per_source, photos, workers or usable_cores())
    train, validation = open_photos(photos, "train"), open_photos(photos, "validation")
    network = run(settings, train, validation, output, Hardware(accelerator), start)
    card = export_detector(
        network,
        settings,
        validation,
        yunet,
        sources,
        output,
        training_data=f"{len(train)} photos, labelled by YuNet{' and dlib' if landmarks else ''}: "
        + ", ".join(folder.name for folder in (*sources, *train_only)),
        licence=licence,
        command=command_line(),
    )
    typer.echo(f"{output / NAME}.onnx, faces from score {card['min_score']}")
    for name, figures in card["accuracy"].items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))
