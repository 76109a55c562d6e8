"""A training recipe: every setting of a run in one small commented TOML file, saved beside its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from facegender.errors import RecipeError
from facegender.faces.types import CROP_SIZE
from facegender.lab.networks.network import Network
from facegender.lab.networks.registry import check_size, describe
from facegender.lab.training.settings import Limited, Share, read_settings

#: Lightning Fabric's words for full precision, and for bfloat16 where it is safe; ``auto`` is the latter where the
#: processor has the arithmetic for it, and the former where it would take ten times as long.
Precision: TypeAlias = Literal["auto", "32-true", "bf16-mixed"]

#: Share of the epochs over which crops grow from `Recipe.first_size` to their full size.
GROWTH = 0.7


@dataclass(frozen=True)
class Augmentation(Limited):
    """Random changes of the training crops; all off by default, as in the paper.

    Attributes:
        flip: mirror half of the crops.
        rotate: largest rotation, degrees.
        tilt: probability of a rotation of up to 45 degrees instead.
        scale: largest change of size, as a natural logarithm (0.1 is about 10 %).
        shift: largest shift, share of the crop's width.
        jitter: standard deviation of the error of each landmark, in inter-eye distances; the crop is aligned again
            to the wrong landmarks.
        colour: largest relative change of brightness and contrast; saturation changes 1.5 times as much.
        erase: probability of covering a random rectangle, or the top or the bottom of the face.
        blur: probability of losing detail, as small, distant, shaken or much compressed faces have: down-scaled to
            12 to 48 pixels and up again, blurred with a sigma of up to 2 pixels, or shaken.
        gray: probability of losing the colours, one time in four to a sepia tone.
        dark: probability of little light, with noise.
        grain: probability of film grain.
        print: probability of a halftone screen or newsprint.
        jpeg: probability of JPEG of a quality from 15 to 60.
    """

    flip: bool = False
    rotate: Annotated[float, 0.0, 180.0] = 0.0
    tilt: Share = 0.0
    scale: Annotated[float, 0.0, 2.0] = 0.0
    shift: Share = 0.0
    jitter: Share = 0.0
    colour: Share = 0.0
    erase: Share = 0.0
    blur: Share = 0.0
    gray: Share = 0.0
    dark: Share = 0.0
    grain: Share = 0.0
    print: Share = 0.0
    jpeg: Share = 0.0


@dataclass(frozen=True)
class Recipe(Limited):
    """Settings of one training run. The defaults are the paper's (section 3; the number of epochs is ours).

    Attributes:
        name: of the recipe.
        network: one of `facegender.lab.networks.registry.network_names`.
        colour: ``rgb`` or ``gray``.
        input_size: side of the network's input, to which crops are enlarged; 0 takes the network's own.
        first_size: side of the crops in the first epoch; it grows to the whole crop over the first
            `GROWTH` of the epochs, which saves arithmetic while coarse features are learnt; 0 is off.
        initialization: ``pytorch``, uniform in +-1/sqrt(fan in), or ``he``, normal with variance 2 / fan in, without
            which deep networks that have no batch normalisation do not learn.
        epochs: passes over the training crops.
        batch_size: crops per step.
        optimizer: ``sgd`` (with `momentum`) or ``adamw``.
        learning_rate: the start (step schedule) or the peak (one-cycle).
        momentum: of SGD.
        weight_decay: L2 factor for SGD, decoupled for AdamW; weights only, never biases or batch norm.
        schedule: ``step`` multiplies by `decay` every `decay_epochs`; ``one-cycle`` warms up over a fifth of the
            steps, then follows a cosine to zero.
        dropout: of all dropout layers.
        label_smoothing: share of the target spread over both classes.
        class_balance: exponent of the inverse class frequency used as loss weight; 0 is off, 1 full balance.
        pruning: probability that a crop whose last loss was below the mean is left out of an epoch; those that stay
            count the more, so that the gradient's expectation is kept (InfoBatch: Z. Qin et al., ICLR 2024). The
            last eighth of the epochs sees every crop. 0 is off.
        balance: exponent of the inverse frequency of a crop's cell of store, gender, age and race, as far as they
            are known, by which it counts in the loss; 0 is off.
        teacher: share of the target that is the teacher's answer where there is one; the rest is the label.
        description: weight of the loss between the teacher's description of a face and what a linear layer makes of
            the last features; the layer is left out of exports.
        ema: decay of the exponential moving average of the weights that is evaluated; 0 is off.
        population_statistics: after the last epoch, measure batch normalisation's mean and variance over all
            training crops instead of keeping the moving averages; MATLAB's default, in which the paper's layers
            are named.
        precision: ``32-true`` or ``bf16-mixed``, as Lightning Fabric names them, or ``auto``;
            a run that is resumed keeps what ``auto`` came to, where the machine has the arithmetic for it.
        seed: the one source of randomness.
        augmentation: see `Augmentation`.
    """

    name: str = "paper"
    network: str = "custom-cnn-table1"
    colour: Literal["rgb", "gray"] = "rgb"
    input_size: Annotated[int, 0, 1024] = 0
    first_size: Annotated[int, 0, 1024] = 0
    initialization: Literal["pytorch", "he"] = "pytorch"
    epochs: Annotated[int, 1, 100_000] = 20
    batch_size: Annotated[int, 2, 1_000_000] = 500
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, 1e-9, 1e3] = 0.1
    momentum: Annotated[float, 0.0, 0.9999] = 0.9
    weight_decay: Annotated[float, 0.0, 10.0] = 0.001
    schedule: Literal["step", "one-cycle"] = "step"
    decay: Annotated[float, 1e-3, 1.0] = 0.9
    decay_epochs: Annotated[int, 1, 100_000] = 10
    dropout: Annotated[float, 0.0, 0.99] = 0.5
    label_smoothing: Annotated[float, 0.0, 0.99] = 0.0
    class_balance: Share = 0.0
    pruning: Annotated[float, 0.0, 0.95] = 0.0
    balance: Share = 0.0
    teacher: Share = 0.0
    description: Annotated[float, 0.0, 100.0] = 0.0
    ema: Annotated[float, 0.0, 0.99999] = 0.0
    population_statistics: bool = True
    precision: Precision = "auto"
    seed: Annotated[int, 0, 2**31 - 1] = 2020
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        super().__post_init__()
        full = self.describe().input_size  # refuses what the network cannot be
        if not self.crop_size(0, CROP_SIZE):
            raise RecipeError(f"first_size must be 8 pixels or more, not {self.first_size}")
        for side in range(self.crop_size(0, full), full, 8):
            check_size(self.network, side, **self.network_options())

    def describe(self) -> Network:
        """The network that the recipe trains, on PyTorch's meta device.

        Raises:
            RecipeError: no such network, or not with that input.
        """
        return describe(self.network, **self.network_options())

    def network_options(self) -> dict[str, Any]:
        """Keywords of the network's builder."""
        channels = 3 if self.colour == "rgb" else 1
        return {"channels": channels, "dropout": self.dropout, "input_size": self.input_size or None}

    def command_options(self) -> str:
        """``--recipe`` and ``--set``, as a command that trains with it takes them; its name is one of the package's."""
        there, here = (_flat(recipe.to_dict()) for recipe in (load_recipe(self.name), self))
        changed = {name: value for name, value in here.items() if value != there[name]}
        # TOML has true and false for Python's.
        words = [f"{n}={str(v).lower() if isinstance(v, bool) else v}" for n, v in changed.items()]
        return " ".join([f"--recipe {self.name}", *(f"--set {word}" for word in words)])

    def crop_size(self, epoch: int, full: int) -> int:
        """Side of the training crops in an epoch (counted from 0), a multiple of 8 below `full`."""
        grown = epoch / (GROWTH * self.epochs)
        if not self.first_size or grown >= 1:
            return full
        return min(full, 8 * round((self.first_size + grown * (full - self.first_size)) / 8))


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with those of `Augmentation` as ``augmentation.NAME``."""
    inner = settings.pop("augmentation")
    return settings | {f"augmentation.{name}": value for name, value in inner.items()}


def load_recipe(source: str | Path, /, **changes: Any) -> Recipe:
    """Read a recipe by its name in the package or from a TOML file.

    Args:
        source: ``paper``, ``tuned``, ``flagship``, ``paper-baseline``, ``tuned-baseline``, or a path that ends in
            ``.toml``.
        changes: settings that replace those of the file; None leaves the file's.

    Raises:
        RecipeError: no such recipe, a setting that does not exist, or a value of the wrong kind.
    """
    return read_settings(Recipe, source, resources.files("facegender.lab.training") / "recipes", changes)
