"""Checkpoints in safetensors: tensors in the body, everything else as JSON in the header. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from facegender.errors import CheckpointError, RecipeError
from facegender.files import atomic_file
from facegender.lab.training.settings import build_settings

#: Name of a finished run's weights in its folder, and of the checkpoint of an unfinished one.
MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        tensors: by name; prefixes name the parts of a run, such as ``model.`` and ``optimizer.``.
        details: recipe, history, preprocessing and whatever else the writer noted.
    """

    tensors: Mapping[str, Tensor]
    details: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below a prefix, without it."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], details: Mapping[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the old file or the new one.

    Raises:
        OutputError: the folder cannot be written.
    """
    with atomic_file(path) as temporary:
        try:
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
                temporary,
                metadata={"facegender": json.dumps(details)},
            )
        except SafetensorError as error:  # a full disk, among others
            raise OSError(str(error)) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: the file is absent, cut short or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            details = json.loads((file.metadata() or {})["facegender"])
            return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, details)  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint at {path}") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is cut short or no facegender checkpoint") from error


def used_precisions(folder: Path) -> list[str]:
    """What an unfinished run has computed in, one after the other; none where there is no such run or it is not noted.

    The trainer refuses a damaged checkpoint.
    """
    with suppress(CheckpointError):
        return list(load_checkpoint(folder / CHECKPOINT).details.get("precisions", ()))
    return []


def load_same_run(path: Path, recipe: Any, identity: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint of the run that this recipe and these details tell from others.

    Args:
        recipe: a dataclass; settings that a checkpoint from before them lacks count as their defaults.

    Raises:
        CheckpointError: as for `load_checkpoint`, or the checkpoint has another recipe or other details.
    """
    try:
        saved = load_checkpoint(path)
    except CheckpointError as error:
        raise CheckpointError(str(error), remedy="delete it to start again") from error
    try:
        same = build_settings(type(recipe), saved.details["recipe"], "recipe") == recipe
    except (KeyError, TypeError, AttributeError, RecipeError):
        same = False
    if not same or any(saved.details.get(key) != value for key, value in identity.items()):
        raise CheckpointError(
            f"{path} belongs to a run with another recipe or other data", remedy="choose another --output"
        )
    return saved
