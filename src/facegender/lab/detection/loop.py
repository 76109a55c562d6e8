"""Training of the face detector: seeded, resumable after a kill, its recipe saved beside it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from facegender.faces.anchors import anchor_points
from facegender.lab.detection.photos import LabelledPhoto
from facegender.lab.detection.recipe import DetectorRecipe
from facegender.lab.detection.scenes import SceneMaker
from facegender.lab.detection.start import begin_detector, read_detector
from facegender.lab.detection.targets import Losses, assign, detection_loss
from facegender.lab.networks.face_detector import FaceDetectorNetwork
from facegender.lab.training.checkpoint import MODEL, load_same_run, used_precisions
from facegender.lab.training.hardware import Hardware, start_fabric
from facegender.lab.training.optimization import decay_groups, one_cycle
from facegender.lab.training.start import steady_size
from facegender.lab.training.trainer import Trainer
from facegender.prefetch import ahead
from facegender.progress import Bar

#: Optimizer steps between two checkpoints.
ROUND = 500
#: Batches of validation scenes that are evaluated after each round; nothing is selected by them.
_WATCHED = 4
#: Batches that are prepared ahead of the training step.
_AHEAD = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundRecord:
    """One line of ``history.csv``: losses of training, and on scenes of validation photos."""

    step: int
    learning_rate: float
    loss: float
    validation_loss: float
    validation_score_loss: float
    validation_box_loss: float
    validation_landmark_loss: float
    scenes_per_second: float


def train_detector(
    recipe: DetectorRecipe,
    photos: Sequence[LabelledPhoto],
    validation: Sequence[LabelledPhoto],
    output: Path,
    hardware: Hardware | None = None,
    start: Path | None = None,
) -> FaceDetectorNetwork:
    """Train one detector; an interrupted run is resumed after its last whole round.

    Args:
        photos: what the scenes to learn from are made of.
        validation: photos for the scenes that are only watched.
        output: folder for checkpoint, model, recipe and history.
        start: an exported detector, whose weights the network begins with; None begins with random ones.

    Returns:
        the averaged network, in evaluation mode, on the CPU.

    Raises:
        DatasetError: no face in the photos of either kind.
        CheckpointError: `output` holds another run, or a checkpoint that is cut short.
        DivergedError: the loss is no finite number any more.
        InputError: no such hardware here.
        OutputError: `output` cannot be written.
        WeightsError: `start` is no exported detector.
    """
    tensors = None if start is None else read_detector(start)
    began = None if start is None else hashlib.sha256(start.read_bytes()).hexdigest()
    identity = {"photos": _fingerprint(photos), "start": began}
    if not (output / MODEL).exists():
        fabric = start_fabric(recipe.precision, hardware or Hardware(), used_precisions(output))
        _DetectorTrainer(fabric, recipe, photos, validation, output, identity, tensors).run()
    saved = load_same_run(output / MODEL, recipe, identity)
    network = FaceDetectorNetwork()
    network.load_state_dict(dict(saved.tensors))
    return network.eval()


class _DetectorTrainer(Trainer[DetectorRecipe, FaceDetectorNetwork, RoundRecord]):
    """A round is some hundred steps."""

    record = RoundRecord
    unit = "steps"

    def __init__(
        self,
        fabric: Fabric,
        recipe: DetectorRecipe,
        photos: Sequence[LabelledPhoto],
        validation: Sequence[LabelledPhoto],
        output: Path,
        identity: Mapping[str, Any],
        start: Mapping[str, Tensor] | None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.total = recipe.steps
        self.maker, self.watched = SceneMaker(photos, recipe.scenes), SceneMaker(validation, recipe.scenes)
        network: FaceDetectorNetwork = FaceDetectorNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch leaves it out of the stub
        if start is not None:
            images = next(_batches(self.maker, recipe, range(-1, 0)))[0]
            begin_detector(network, start, images, steady_size(recipe.learning_rate, recipe.weight_decay))
        optimizer = torch.optim.AdamW(decay_groups(network, recipe.weight_decay), lr=recipe.learning_rate)
        super().__init__(fabric, recipe, network, optimizer, output, identity, {}, recipe.ema, max_norm=10.0)
        centres, strides = anchor_points(recipe.scenes.canvas, recipe.scenes.canvas)
        self.cells = tuple(torch.from_numpy(a).to(fabric.device) for a in (centres, strides))

    @property
    def done(self) -> int:
        return self.history[-1].step if self.history else 0

    def round(self, bar: Bar) -> RoundRecord:
        recipe, first = self.recipe, self.done
        last = min(first + ROUND, recipe.steps)
        started, total, rate = time.perf_counter(), 0.0, 0.0
        self.model.train()
        for step, batch in enumerate(_batches(self.maker, recipe, range(first, last)), start=first):
            rate = one_cycle(step / recipe.steps, recipe.learning_rate)
            loss = self._loss(self.model, *batch).total
            self.step(loss, rate, f"{recipe.name}: step {step + 1}")
            total += float(loss.detach())
            bar.step(status=f"loss {total / (step + 1 - first):.3f}")
        speed = (last - first) * recipe.batch_size / (time.perf_counter() - started)
        watched = self._watch()
        record = RoundRecord(last, rate, total / (last - first), *watched, speed)
        log.info(
            "%s: step %d of %d, loss %.4f, validation %.4f (score %.4f, box %.4f, landmarks %.4f), %.0f scenes/s",
            *(self.output, last, recipe.steps, record.loss, *watched, speed),
        )
        return record

    def _loss(self, model: torch.nn.Module, images: Tensor, targets: Tensor) -> Losses:
        images, targets = self.fabric.to_device((images, targets))
        return detection_loss(model(images).float(), targets, *self.cells)

    @torch.no_grad()
    def _watch(self) -> tuple[float, float, float, float]:
        batches = _batches(self.watched, self.recipe, range(-_WATCHED, 0))
        network = self.best.eval()
        losses = [torch.stack(self._loss(network, *batch)) for batch in batches]
        total, score, box, landmarks = torch.stack(losses).mean(0).tolist()
        return total, score, box, landmarks


def _batches(maker: SceneMaker, recipe: DetectorRecipe, steps: range) -> Iterator[tuple[Tensor, Tensor]]:
    """uint8 images N x S x S x 3 and float32 targets N x C x 16; seed and step alone decide which."""
    size = recipe.scenes.canvas

    def prepare(step: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng((recipe.seed, step & 0xFFFFFFFF))
        scenes = [maker.scene(random) for _ in range(recipe.batch_size)]
        targets = np.stack([assign(scene.faces, scene.unsure, size, size) for scene in scenes])
        return torch.from_numpy(np.stack([scene.image for scene in scenes])), torch.from_numpy(targets)

    return ahead(prepare, steps, waiting=_AHEAD)


def _fingerprint(photos: Sequence[LabelledPhoto]) -> str:
    """Tells runs on other photos or labels apart."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(f"{photo.source}\0{photo.file}\0".encode() + photo.faces.tobytes() + photo.unsure.tobytes())
    return digest.hexdigest()
