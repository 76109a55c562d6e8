"""What the verbs that train or evaluate share: their extra, their options, and what they say of faces seen before."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegender.cli.root import require, say

if TYPE_CHECKING:
    from facegender.lab.datasets.store import Store
    from facegender.lab.datasets.unseen import Unseen
    from facegender.lab.evaluation.models import EvaluatedModel

StoreArgument = Annotated[Path, typer.Argument(help="A prepared store (see: facegender prepare).")]
StoresArgument = Annotated[
    list[Path], typer.Argument(metavar="STORE...", help="Prepared stores (see: facegender prepare).")
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A shipped network, an .onnx file with its card, or a finished run's folder or model.safetensors.",
    ),
]
SplitOption = Annotated[
    str,
    typer.Option(
        help="Which faces: train, validation, test, all, or unseen; those that MODEL has seen are always left out."
    ),
]
RecipeOption = Annotated[
    str, typer.Option("--recipe", "-r", help="paper, tuned, flagship, paper-baseline, tuned-baseline, or a TOML file.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another value for a setting of the recipe, such as `seed=7` or `precision=32-true`; repeatable.",
    ),
]
AcceleratorOption = Annotated[str, typer.Option(help="auto, cpu, cuda, ... (Lightning Fabric).")]
DevicesOption = Annotated[int, typer.Option(help="Processes or accelerators.", min=1)]


def require_training() -> None:
    """Check that the extra ``train`` is there; log the epochs to standard error where no progress bar is shown.

    Raises:
        MissingExtraError: a package of it is not there.
    """
    require("train", "torch", "lightning-fabric", "safetensors", "onnx", "onnxscript", "tomli-w")
    require("train", "scikit-learn", "scipy", "matplotlib")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if not sys.stderr.isatty():
        logging.basicConfig(format="%(message)s")
        logging.getLogger("facegender").setLevel(logging.INFO)


def unseen(network: EvaluatedModel, store: Store, split: str | None = None, *, by_name: bool = True) -> Unseen:
    """What `EvaluatedModel.unseen` gives; a line says how many faces are left out, or that none can be recognised."""
    faces = network.unseen(store, split, by_name=by_name)
    learned = network.provenance.learned
    if learned.uses and not learned.listed and not faces.recognised:
        sets = ", ".join(sorted(network.provenance.names))
        say(f"note: no list of the faces that {network.name} learned from is here; photos of {sets} are not recognised")
    if faces.note:
        say(f"note: {faces.note}")
    return faces
