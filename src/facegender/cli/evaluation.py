"""What the verbs that evaluate share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegender.cli.root import say

if TYPE_CHECKING:
    from facegender.lab.datasets.store import Store
    from facegender.lab.datasets.unseen import Unseen
    from facegender.lab.evaluation.models import EvaluatedModel

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
