"""What the verbs that train share: their options, and what they need before they begin."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from facegender.errors import MissingExtraError

StoreArgument = Annotated[Path, typer.Argument(help="A prepared store (see: facegender prepare).")]
RecipeOption = Annotated[str, typer.Option("--recipe", "-r", help="paper, tuned, or a TOML file.")]
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


def require_torch() -> None:
    """Check that PyTorch is there before a verb imports it.

    Raises:
        MissingExtraError: it is not.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "train")


def require_training(*audit: str) -> None:
    """Check that the extra ``train`` is there before a verb imports it; let the epochs be logged.

    Where nobody watches a progress bar, one line an epoch goes to standard error.

    Args:
        audit: packages of the extra ``audit`` that the verb needs too.

    Raises:
        MissingExtraError: one is not there.
    """
    for package in (
        "torch",
        "lightning_fabric",
        "safetensors",
        "sklearn",
        "scipy",
        "matplotlib",
        "tomli_w",
        "onnx",
        "onnxscript",
    ):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")
    for package in audit:
        if find_spec(package) is None:
            raise MissingExtraError(package, "audit")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if not sys.stderr.isatty():
        logging.basicConfig(format="%(message)s")
        logging.getLogger("facegender").setLevel(logging.INFO)
