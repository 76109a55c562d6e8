"""What the verbs that evaluate share: their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
