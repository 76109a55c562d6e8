"""The recipe of a detector: every setting of its training in one small commented TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from facegender.errors import RecipeError
from facegender.lab.training.recipe import Precision
from facegender.lab.training.settings import Limited, Share, read_settings


@dataclass(frozen=True)
class SceneSettings(Limited):
    """How training scenes are made; the last eleven are probabilities.

    Attributes:
        canvas: side of a scene in pixels, a multiple of 32.
        smallest_face, largest_face: sides in pixels, between which the faces are spread evenly on a log scale.
        rotate: standard deviation of a photo's rotation, degrees.
        tilted: a photo is turned by up to 60 degrees instead.
        any_way: a photo is turned by up to 180 degrees instead.
        squeezed: a photo is made narrower or wider.
        graphics: a drawing without faces takes the photo's place.
        as_it_is: a photo keeps about its size.
        occlude: a face is partly covered.
        dark, gray, blur, noise, jpeg: of a scene.
    """

    canvas: Annotated[int, 64, 4096] = 320
    smallest_face: Annotated[float, 4.0, 1000.0] = 10.0
    largest_face: Annotated[float, 4.0, 4096.0] = 280.0
    rotate: Annotated[float, 0.0, 180.0] = 20.0
    tilted: Share = 0.0
    any_way: Share = 0.0
    squeezed: Share = 0.0
    graphics: Share = 0.0
    as_it_is: Share = 0.3
    occlude: Share = 0.12
    dark: Share = 0.15
    gray: Share = 0.12
    blur: Share = 0.15
    noise: Share = 0.2
    jpeg: Share = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.canvas % 32 or self.smallest_face >= self.largest_face:
            raise RecipeError("canvas must be a multiple of 32, and smallest_face below largest_face")


@dataclass(frozen=True)
class DetectorRecipe(Limited):
    """Settings of one training run.

    Attributes:
        steps: of the optimizer.
        batch_size: scenes a step.
        learning_rate: peak of a one-cycle schedule, of AdamW.
        weight_decay: decoupled; weights only.
        ema: decay of the averaged weights, which are the ones kept.
        per_source: largest number of photos from one folder.
    """

    name: str = "detector"
    steps: Annotated[int, 1, 100_000_000] = 9_000
    batch_size: Annotated[int, 1, 100_000] = 32
    learning_rate: Annotated[float, 1e-9, 1e3] = 0.003
    weight_decay: Annotated[float, 0.0, 10.0] = 0.01
    ema: Annotated[float, 0.0, 0.99999] = 0.999
    per_source: Annotated[int, 1, 1_000_000_000] = 6_000
    precision: Precision = "auto"
    seed: Annotated[int, 0, 2**31 - 1] = 2020
    scenes: SceneSettings = field(default_factory=SceneSettings)


def load_detector_recipe(source: str | Path, /, **changes: Any) -> DetectorRecipe:
    """Read a recipe by its name in the package (``detector``) or from a TOML file.

    Args:
        changes: settings that replace those of the file; None leaves the file's.

    Raises:
        RecipeError: no such recipe, a setting that does not exist, or a value of the wrong kind.
    """
    return read_settings(DetectorRecipe, source, resources.files("facegender.lab.detection"), changes)
