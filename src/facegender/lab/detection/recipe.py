"""The recipe of a detector: every setting of its training in one small commented TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from facegender.errors import RecipeError
from facegender.lab.training.recipe import Precision
from facegender.lab.training.settings import check_ranges, read_settings

_RANGES = {
    "steps": (1, 100_000_000),
    "batch_size": (1, 100_000),
    "learning_rate": (1e-9, 1e3),
    "weight_decay": (0.0, 10.0),
    "ema": (0.0, 0.99999),
    "per_source": (1, 1_000_000_000),
    "seed": (0, 2**31 - 1),
}
_SCENE_RANGES = {
    "canvas": (64, 4096),
    "smallest_face": (4.0, 1000.0),
    "largest_face": (4.0, 4096.0),
    "rotate": (0.0, 180.0),
    **dict.fromkeys(
        ("tilted", "any_way", "squeezed", "graphics", "as_it_is", "occlude", "dark", "gray", "blur", "noise", "jpeg"),
        (0.0, 1.0),
    ),
}


@dataclass(frozen=True)
class SceneSettings:
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

    canvas: int = 256
    smallest_face: float = 8.0
    largest_face: float = 240.0
    rotate: float = 12.0
    tilted: float = 0.15
    any_way: float = 0.0
    squeezed: float = 0.15
    graphics: float = 0.08
    as_it_is: float = 0.3
    occlude: float = 0.12
    dark: float = 0.15
    gray: float = 0.2
    blur: float = 0.2
    noise: float = 0.2
    jpeg: float = 0.2

    def __post_init__(self) -> None:
        check_ranges(self, _SCENE_RANGES)
        if self.canvas % 32 or self.smallest_face >= self.largest_face:
            raise RecipeError("canvas must be a multiple of 32, and smallest_face below largest_face")


@dataclass(frozen=True)
class DetectorRecipe:
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
    steps: int = 14_000
    batch_size: int = 32
    learning_rate: float = 0.003
    weight_decay: float = 0.01
    ema: float = 0.999
    per_source: int = 2_500
    precision: Precision = "auto"
    seed: int = 2020
    scenes: SceneSettings = field(default_factory=SceneSettings)

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, as TOML holds them."""
        return asdict(self)


def load_detector_recipe(source: str | Path, /, **changes: Any) -> DetectorRecipe:
    """Read a recipe by its name in the package (``detector``) or from a TOML file.

    Args:
        changes: settings that replace those of the file; None leaves the file's.

    Raises:
        RecipeError: no such recipe, a setting that does not exist, or a value of the wrong kind.
    """
    return read_settings(DetectorRecipe, source, resources.files("facegender.lab.detection"), changes)
