"""Training of the classifier, epoch by epoch."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from facegender.errors import InputError
from facegender.lab.datasets.provenance import Seen
from facegender.lab.datasets.store import Store
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.training.batches import Batch, epoch_batches, select, steps_per_epoch
from facegender.lab.training.checkpoint import MODEL, load_same_run, used_precisions
from facegender.lab.training.hardware import Hardware, start_fabric
from facegender.lab.training.lessons import Lessons
from facegender.lab.training.model import (
    SEEN,
    EpochRecord,
    TrainedModel,
    channel_statistics,
    classifier_from_recipe,
    load_model,
    predict_logits,
)
from facegender.lab.training.optimization import (
    cell_weights,
    class_weights,
    learning_rate,
    make_optimizer,
    measure_population,
)
from facegender.lab.training.recipe import Augmentation, Recipe
from facegender.lab.training.start import Start, begin
from facegender.lab.training.trainer import Trainer
from facegender.plots import new_figure, plain, save_figure
from facegender.progress import Bar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """What a run learns from, and what it only looks at.

    Attributes:
        store: the prepared data.
        train: int64 indices of the crops to learn from, ascending.
        heldout: indices of crops that are evaluated after each epoch, for the curve; nothing is selected by them.
        lessons: what a teacher says of the store's crops; None without one.
    """

    store: Store
    train: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.int64] | None = None
    lessons: Lessons | None = None

    def __post_init__(self) -> None:
        if (np.diff(self.train) <= 0).any():  # losses are kept by their place
            raise ValueError("the indices of the training crops have to ascend")
        for index, what in ((self.train, "training crops"), (self.heldout, "held-out crops")):
            if index is not None and len(set(self.store.labels[index].tolist())) < 2:
                raise InputError(f"the {what} of {self.store.name} are not of both labels", remedy="choose other folds")

    def fingerprint(self) -> str:
        """Tells runs on other crops apart."""
        digest = hashlib.sha256(self.store.digest.encode() + self.train.tobytes())
        if self.lessons is not None:
            digest.update(self.lessons.logits.tobytes() + self.lessons.descriptions.tobytes())
        return digest.hexdigest()


def train(
    recipe: Recipe, examples: Examples, output: Path, hardware: Hardware | None = None, start: Start | None = None
) -> TrainedModel:
    """Train one network; an interrupted run is resumed after its last whole epoch.

    Args:
        output: folder for checkpoint, model, recipe, history and curve.
        start: the network to begin with; None begins with random weights.

    Raises:
        CheckpointError: `output` holds another run, or a checkpoint that is cut short.
        DivergedError: the loss is no finite number any more.
        InputError: no such hardware here, `start` is of another network than the recipe, or the recipe learns from a
            teacher and there are no lessons, or the other way round.
        OutputError: `output` cannot be written.
    """
    taught = bool(recipe.teacher or recipe.description)
    if taught and examples.lessons is None:
        raise InputError(
            f"the recipe {recipe.name} learns from a teacher, and there are no lessons",
            remedy="--lessons FILE, or --set teacher=0 --set description=0",
        )
    if examples.lessons is not None and not taught:
        raise InputError(
            f"the recipe {recipe.name} takes nothing from the lessons",
            remedy="leave out --lessons, or --set teacher=0.5",
        )
    identity = {"examples": examples.fingerprint(), "start": None if start is None else start.sha256}
    if (output / MODEL).exists():
        load_same_run(output / MODEL, recipe, identity)
    else:
        fabric = start_fabric(recipe.precision, hardware or Hardware(), used_precisions(output))
        _ClassifierTrainer(fabric, recipe, examples, output, identity, start).run()
    return load_model(output)


class _ClassifierTrainer(Trainer[Recipe, CropClassifier, EpochRecord]):
    """A round is an epoch: one pass over the training crops."""

    record = EpochRecord
    unit = "epochs"

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        examples: Examples,
        output: Path,
        identity: Mapping[str, Any],
        start: Start | None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        store = examples.store
        if start is None:
            mean, std = channel_statistics(store.crops, examples.train, gray=recipe.colour == "gray")
            classifier = classifier_from_recipe(recipe, mean, std)
        else:
            mean, std = start.mean, start.std
            classifier = begin(start, recipe, store.crops, examples.train)
        if recipe.description and examples.lessons is not None:
            size = examples.lessons.descriptions.shape[1]
            classifier.auxiliary["description"] = torch.nn.Linear(classifier.body.head.in_features, size)
        both = store.name if start is None else "+".join(dict.fromkeys(f"{start.store}+{store.name}".split("+")))
        details = {
            "store": both,
            "alignment": dict(store.alignment),
            "mean": mean,
            "std": std,
        }
        if examples.lessons is not None:
            details["lessons"] = examples.lessons.to_record(examples.train)
        optimizer = make_optimizer(recipe, classifier)
        super().__init__(fabric, recipe, classifier, optimizer, output, identity, details, recipe.ema)
        self.model.mark_forward_method("outputs")
        self.examples, self._before = examples, start.learned if start else None
        self.total, self.steps_each = recipe.epochs, steps_per_epoch(recipe, len(examples.train))
        self.counted = cell_weights(store, examples.train, recipe.balance)
        self.full_size = classifier.size
        self.losses = np.full(len(examples.train), np.inf, np.float32)
        self.class_weights = class_weights(recipe, store.labels[examples.train]).to(fabric.device)

    def state(self) -> Mapping[str, Tensor]:
        return {"losses": torch.from_numpy(self.losses)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.losses = state["losses"].numpy()

    def round(self, bar: Bar) -> EpochRecord:
        fabric, recipe, store = self.fabric, self.recipe, self.examples.store
        number = len(self.history)
        # The same dropout after a resume as without one, another in every process.
        torch.manual_seed(recipe.seed * 100_003 + number + 1_000_003 * fabric.global_rank)
        self.model.train()
        started, rate = time.perf_counter(), 0.0
        sums = torch.zeros(3, dtype=torch.float64)  # loss, right answers, images
        selection = select(recipe, self.examples.train, self.losses, number, self.counted)
        steps = steps_per_epoch(recipe, len(selection.index))
        crops = store.crops if recipe.augmentation == Augmentation() else store.wide
        batches = epoch_batches(
            *(recipe, crops, store.labels, selection, number, fabric.global_rank, fabric.world_size),
            lessons=self.examples.lessons,
        )
        losses = np.full(len(self.losses), -1.0, np.float32)
        self._take(recipe.crop_size(number, self.full_size))
        for step, batch in enumerate(map(fabric.to_device, batches)):
            rate = learning_rate(recipe, number, step, steps)
            # Of one device's model, Fabric leaves marked methods without the precision's context.
            with fabric.autocast():
                outputs = self.model.outputs(batch.crops)
            loss = classification_loss(outputs, batch, self.class_weights, recipe)
            self.step(loss.total, rate, f"{recipe.name}, {recipe.network}: step {step + 1} of epoch {number + 1}")
            losses[np.searchsorted(self.examples.train, batch.index)] = loss.each.cpu().numpy()
            images = len(batch.labels)
            sums += torch.tensor([float(loss.total.detach()) * images, float(loss.right), images], dtype=torch.float64)
            bar.step(status=f"epoch {number + 1} loss {sums[0] / sums[2]:.3f} accuracy {sums[1] / sums[2]:.3f}")
        bar.step(self.steps_each - steps, status=f"epoch {number + 1}")
        seconds = time.perf_counter() - started
        newest = fabric.all_reduce(torch.from_numpy(losses).to(fabric.device), reduce_op="max")
        losses = torch.as_tensor(newest).cpu().numpy()
        self.losses = np.where(losses >= 0, losses, self.losses)
        total = fabric.all_reduce(sums.float().to(fabric.device), reduce_op="sum")
        loss_sum, right_sum, images = torch.as_tensor(total).tolist()
        heldout = None
        if self.examples.heldout is not None:
            answers = predict_logits(self.best, store.crops, self.examples.heldout).argmax(1)
            heldout = float((answers == store.labels[self.examples.heldout]).mean())
        self._take(self.full_size)
        record = EpochRecord(number + 1, rate, loss_sum / images, right_sum / images, heldout, images / seconds)
        if fabric.is_global_zero:
            log.info(
                "%s: epoch %d of %d, loss %.4f, accuracy %.4f, held out %s, %.0f images/s",
                *(self.output, record.epoch, recipe.epochs, record.loss, record.accuracy),
                *("-" if heldout is None else f"{heldout:.4f}", record.images_per_second),
            )
        return record

    def complete(self) -> Mapping[str, Tensor]:
        recipe = self.recipe
        if recipe.population_statistics:
            measure_population(self.best, self.examples.store.crops, self.examples.train, recipe.batch_size)
        if not self.fabric.is_global_zero:
            return {}
        title = f"{recipe.name}, {recipe.network}, {recipe.colour}"
        _draw_curve(self.output / "curve.png", self.history, title)
        learned = Seen.of(self.examples.store, self.examples.train)
        if self._before is not None:
            learned |= self._before
        self._details = {**self._details, "learned_from": learned.to_record()}
        return {} if learned.faces is None else {SEEN: torch.from_numpy(learned.faces.view(np.int64))}

    def _take(self, size: int) -> None:
        """Let the network take crops of `size` pixels as they are, and bring all others to that size."""
        self.network.size = self.best.size = size


class StepLoss(NamedTuple):
    """The loss of a batch.

    Attributes:
        total: a scalar, weighted.
        each: float32, N; of each crop, unweighted.
        right: how many crops got their label.
    """

    total: Tensor
    each: Tensor
    right: Tensor


def classification_loss(outputs: Mapping[str, Tensor], batch: Batch, class_weights: Tensor, recipe: Recipe) -> StepLoss:
    """Cross-entropy with the labels and the teacher's answers, and the distance from its descriptions.

    G. Hinton et al., "Distilling the knowledge in a neural network", 2015; A. Romero et al., "FitNets", ICLR 2015.

    Args:
        outputs: ``logits``, N x 2, and perhaps ``description``, N x E (`CropClassifier.outputs`).
        class_weights: float32, 2.
        recipe: its `label_smoothing`, `teacher` and `description`.
    """
    logits = outputs["logits"].float()
    target = F.one_hot(batch.labels, 2).float() * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
    if batch.answers is not None:
        male = torch.sigmoid(batch.answers)
        theirs = torch.stack([1 - male, male], 1)
        mixed = (1 - recipe.teacher) * target + recipe.teacher * theirs
        target = torch.where(batch.answers.isnan()[:, None], target, mixed)
    each = F.cross_entropy(logits, target, reduction="none")
    weights = batch.weights * class_weights[batch.labels]
    total = (each * weights).sum() / weights.sum()
    if batch.descriptions is not None and "description" in outputs:
        known = ~batch.descriptions.isnan().any(1)
        away = 1 - F.cosine_similarity(outputs["description"].float()[known], batch.descriptions[known])
        total = total + recipe.description * (away * weights[known]).sum() / weights.sum()
    right = (logits.argmax(1) == batch.labels).sum()
    return StepLoss(total, each.detach(), right)


def _draw_curve(path: Path, history: Sequence[EpochRecord], title: str) -> None:
    """Draw loss and accuracy over the epochs."""
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2)
    epochs = [r.epoch for r in history]
    left.plot(epochs, [r.loss for r in history], color="#666666")
    left.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, None))
    right.plot(epochs, [100 * r.accuracy for r in history], color="#0072b2", linestyle="--", label="training")
    if heldout := [100 * r.heldout_accuracy for r in history if r.heldout_accuracy is not None]:
        right.plot(epochs, heldout, color="#d55e00", label="held out")
    right.set(xlabel="epoch", ylabel="accuracy (%)")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        plain(axes, "both")
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)
