"""One training run on Lightning Fabric: seeded, resumable after a kill, its recipe saved beside it."""

from __future__ import annotations

import csv
import hashlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from facegender.errors import CheckpointError, DivergedError, InputError
from facegender.files import atomic_file
from facegender.lab.datasets.store import Store
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.training.batches import Batch, epoch_batches, select, steps_per_epoch
from facegender.lab.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from facegender.lab.training.curve import draw_curve
from facegender.lab.training.model import (
    MODEL,
    EpochRecord,
    TrainedModel,
    channel_statistics,
    classifier_from_recipe,
    load_model,
    predict_logits,
)
from facegender.lab.training.optimization import (
    WeightAverage,
    class_weights,
    learning_rate,
    make_optimizer,
    measure_population,
)
from facegender.lab.training.recipe import Precision, Recipe
from facegender.progress import Bar

CHECKPOINT = "checkpoint.safetensors"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hardware:
    """Where a run happens; each is a setting of `lightning_fabric.Fabric`, none changes the recipe.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``cuda``, ...
        devices: processes or accelerators.
        strategy: ``auto`` unless you know better.
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"


@dataclass(frozen=True)
class Examples:
    """What a run learns from, and what it only looks at.

    Attributes:
        store: the prepared data.
        train: int64 indices of the crops to learn from.
        heldout: indices of crops that are looked at after each epoch, for the curve; nothing is chosen by them.
    """

    store: Store
    train: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for index, what in ((self.train, "training crops"), (self.heldout, "held-out crops")):
            if index is not None and len(set(self.store.labels[index].tolist())) < 2:
                raise InputError(f"the {what} of {self.store.name} are not of both labels", remedy="choose other folds")

    def fingerprint(self) -> str:
        """Tells runs on other crops apart."""
        return hashlib.sha256(self.store.digest.encode() + self.train.tobytes()).hexdigest()


def train(recipe: Recipe, examples: Examples, output: Path, hardware: Hardware | None = None) -> TrainedModel:
    """Train one network; a run that was interrupted goes on after its last whole epoch.

    Args:
        recipe: all settings of the run.
        examples: the data.
        output: folder for checkpoint, model, recipe, history and curve.
        hardware: accelerator, devices, strategy.

    Raises:
        CheckpointError: `output` holds another run, or a checkpoint that is cut short.
        DivergedError: the loss is no finite number any more.
        InputError: no such hardware here.
        OutputError: `output` cannot be written.
    """
    details: dict[str, Any] = {
        "recipe": recipe.to_dict(),
        "store": examples.store.name,
        "alignment": dict(examples.store.alignment),
        "examples": examples.fingerprint(),
    }
    if (output / MODEL).exists():
        _load_same_run(output / MODEL, details)
        return load_model(output / MODEL)
    fabric = start_fabric(recipe.precision, hardware or Hardware())
    run = _Run(fabric, recipe, examples, output, details)
    try:
        with Bar("training", recipe.epochs * run.steps) as bar:
            bar.step(len(run.history) * run.steps)
            while len(run.history) < recipe.epochs:
                run.epoch(lambda note, steps=1: bar.step(steps, note=note))
                run.save()
    except KeyboardInterrupt as stop:
        stop.add_note(
            f"{len(run.history)} of {recipe.epochs} epochs are in {output}; the same command goes on from there"
        )
        raise
    return run.finish()


def is_main_process() -> bool:
    """Whether this is the one process of a run that writes and prints."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def start_fabric(precision: Precision, hardware: Hardware) -> Fabric:
    """Lightning Fabric on the given hardware, launched.

    Raises:
        InputError: no such hardware here.
    """
    on_cpu = hardware.accelerator == "cpu" or (hardware.accelerator == "auto" and not torch.accelerator.is_available())
    if precision == "auto":
        slow = on_cpu and "AVX512" not in torch.backends.cpu.get_cpu_capability()
        precision = "32-true" if slow else "bf16-mixed"
    try:
        fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            strategy=hardware.strategy,
            precision=precision,
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot train on {hardware.devices} x {hardware.accelerator}: {error}", remedy="--accelerator cpu"
        ) from error
    fabric.launch()
    return fabric


class _Run:
    """The state of a run between its epochs."""

    def __init__(
        self, fabric: Fabric, recipe: Recipe, examples: Examples, output: Path, details: dict[str, Any]
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.fabric, self.recipe, self.examples, self.output = fabric, recipe, examples, output
        self.steps = steps_per_epoch(recipe, len(examples.train))
        store = examples.store
        self.mean, self.std = channel_statistics(store.crops, examples.train, gray=recipe.colour == "gray")
        self.details = {**details, "mean": self.mean, "std": self.std}
        self.classifier = classifier_from_recipe(recipe, self.mean, self.std)
        self.full_size = self.classifier.size
        self.average = WeightAverage(self.classifier, recipe.ema) if recipe.ema else None
        self.history: list[EpochRecord] = []
        self.losses = np.full(len(examples.train), np.inf, np.float32)
        self.model, self.optimizer = fabric.setup(self.classifier, make_optimizer(recipe, self.classifier))
        if self.average:
            self.average.model.to(fabric.device)
        self.loss_weights = class_weights(recipe, store.labels[examples.train]).to(fabric.device)
        if (output / CHECKPOINT).exists():
            self._restore()
        elif fabric.is_global_zero:
            with atomic_file(output / "recipe.toml") as path:
                path.write_text(tomli_w.dumps(recipe.to_dict()), encoding="utf-8")

    @property
    def best(self) -> CropClassifier:
        """The weights that are evaluated: the average where there is one."""
        return self.average.model if self.average else self.classifier

    def epoch(self, on_step: Callable[..., None]) -> None:
        """One pass over the training crops, and one look at those held out."""
        fabric, recipe, store = self.fabric, self.recipe, self.examples.store
        number = len(self.history)
        # The same dropout after a resume as without one, another in every process.
        torch.manual_seed(recipe.seed * 100_003 + number + 1_000_003 * fabric.global_rank)
        self.model.train()
        started, rate = time.perf_counter(), 0.0
        sums = torch.zeros(3, dtype=torch.float64)  # loss, right answers, images
        selection = select(recipe, self.examples.train, self.losses, number)
        steps = steps_per_epoch(recipe, len(selection.index))
        batches = epoch_batches(
            recipe, store.crops, store.labels, selection, number, fabric.global_rank, fabric.world_size
        )
        losses = np.full(len(self.losses), -1.0, np.float32)
        self._take(recipe.crop_size(number, self.full_size))
        for step, batch in enumerate(batches):
            rate = learning_rate(recipe, number, step, steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss, each, right = training_step(fabric, self.model, self.optimizer, batch, recipe, self.loss_weights)
            if self.average:
                self.average.update(self.classifier, number * self.steps + step)
            if not math.isfinite(loss):
                where = f"{recipe.name}, {recipe.network}: step {step + 1} of epoch {number + 1}"
                raise DivergedError(f"{where}: the loss is {float(loss)}", remedy="lower learning_rate")
            losses[np.searchsorted(self.examples.train, batch.index)] = each.cpu().numpy()
            images = len(batch.labels)
            sums += torch.tensor([float(loss) * images, float(right), images], dtype=torch.float64)
            on_step(f"epoch {number + 1} loss {sums[0] / sums[2]:.3f} accuracy {sums[1] / sums[2]:.3f}")
        on_step(f"epoch {number + 1}", self.steps - steps)
        seconds = time.perf_counter() - started
        losses = (
            torch.as_tensor(fabric.all_reduce(torch.from_numpy(losses).to(fabric.device), reduce_op="max"))
            .cpu()
            .numpy()
        )
        self.losses = np.where(losses >= 0, losses, self.losses)
        total = fabric.all_reduce(sums.float().to(fabric.device), reduce_op="sum")
        loss_sum, right_sum, images = torch.as_tensor(total).tolist()
        heldout = None
        if self.examples.heldout is not None:
            answers = predict_logits(self.best, store.crops, self.examples.heldout).argmax(1)
            heldout = float((answers == store.labels[self.examples.heldout]).mean())
        self._take(self.full_size)
        speed = images / seconds
        record = EpochRecord(number + 1, rate, loss_sum / images, right_sum / images, heldout, speed)
        self.history.append(record)
        if not fabric.is_global_zero:
            return
        log.info(
            "%s: epoch %d of %d, loss %.4f, accuracy %.4f, held out %s, %.0f images/s",
            *(self.output, record.epoch, recipe.epochs, record.loss, record.accuracy),
            *("-" if heldout is None else f"{heldout:.4f}", speed),
        )

    def save(self) -> None:
        """Write the checkpoint that a later start goes on from."""
        if self.fabric.is_global_zero:
            tensors = {f"model.{k}": v for k, v in self.classifier.state_dict().items()}
            tensors |= optimizer_tensors(self.optimizer) | {"losses": torch.from_numpy(self.losses)}
            if self.average:
                tensors |= {f"average.{k}": v for k, v in self.average.model.state_dict().items()}
            save_checkpoint(self.output / CHECKPOINT, tensors, self._details())
        self.fabric.barrier()

    def finish(self) -> TrainedModel:
        """Write the model and what shows how it came about; the checkpoint goes."""
        recipe, best = self.recipe, self.best
        if recipe.population_statistics:
            measure_population(best, self.examples.store.crops, self.examples.train, recipe.batch_size)
        if self.fabric.is_global_zero:
            write_history(self.output / "history.csv", self.history)
            title = f"{recipe.name}, {recipe.network}, {recipe.colour}"
            draw_curve(self.output / "curve.png", [asdict(r) for r in self.history], title)
            save_checkpoint(self.output / MODEL, best.state_dict(), self._details())
            (self.output / CHECKPOINT).unlink(missing_ok=True)
        self.fabric.barrier()
        return load_model(self.output / MODEL)

    def _take(self, size: int) -> None:
        """Let the network take crops of `size` pixels as they are, and bring all others to that size."""
        self.classifier.size = size
        if self.average:
            self.average.model.size = size

    def _restore(self) -> None:
        saved = _load_same_run(self.output / CHECKPOINT, self.details)
        self.classifier.load_state_dict(saved.part("model."))
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        self.losses = saved.tensors["losses"].numpy()
        if self.average:
            self.average.model.load_state_dict(saved.part("average."))
        self.history = [EpochRecord(**record) for record in saved.details["history"]]

    def _details(self) -> dict[str, Any]:
        return {**self.details, "history": [asdict(record) for record in self.history]}


def training_step(
    fabric: Fabric,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    recipe: Recipe,
    loss_weights: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """One forward and backward pass and the optimizer's step.

    Returns:
        the loss of the batch (a scalar), that of each crop (float32, N), and how many were right.
    """
    crops, target, weights = fabric.to_device((batch.crops, batch.labels, batch.weights))
    logits = model(crops).float()
    each = F.cross_entropy(logits, target, reduction="none", label_smoothing=recipe.label_smoothing)
    weights = weights * loss_weights[target]
    loss = (each * weights).sum() / weights.sum()
    optimizer.zero_grad()
    fabric.backward(loss)
    optimizer.step()
    return loss.detach(), each.detach(), (logits.argmax(1) == target).sum()


def write_history(path: Path, history: list[EpochRecord]) -> None:
    """One line an epoch, as CSV."""
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(EpochRecord)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(record) for record in history)


def _load_same_run(path: Path, details: dict[str, Any]) -> Checkpoint:
    saved = load_checkpoint(path)
    if any(saved.details.get(key) != details[key] for key in ("recipe", "examples")):
        raise CheckpointError(
            f"{path} belongs to a run with another recipe or other data", remedy="choose another --output"
        )
    return saved
