"""Training of the face detector: seeded, resumable after a kill, its recipe saved beside it."""

from __future__ import annotations

import csv
import hashlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import Tensor

from facegender.errors import CheckpointError
from facegender.faces.cells import cell_centres
from facegender.files import atomic_file
from facegender.lab.detection.photos import LabelledPhoto
from facegender.lab.detection.recipe import DetectorRecipe
from facegender.lab.detection.scenes import SceneMaker
from facegender.lab.detection.targets import Losses, assign, detection_loss
from facegender.lab.networks.face_detector import FaceDetectorNetwork
from facegender.lab.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
)
from facegender.lab.training.loop import CHECKPOINT, Hardware, start_fabric
from facegender.lab.training.model import MODEL
from facegender.lab.training.optimization import WeightAverage, decay_groups, one_cycle
from facegender.progress import Bar

#: Optimizer steps between two checkpoints.
ROUND = 500
#: Batches of validation scenes that are looked at after each round; nothing is chosen by them.
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
) -> FaceDetectorNetwork:
    """Train one detector; a run that was interrupted goes on after its last whole round.

    Args:
        recipe: all settings of the run.
        photos: what the scenes to learn from are made of.
        validation: photos for the scenes that are only watched.
        output: folder for checkpoint, model, recipe and history.
        hardware: accelerator, devices, strategy.

    Returns:
        the averaged network, in evaluation mode, on the CPU.

    Raises:
        DatasetError: no face in the photos of either kind.
        CheckpointError: `output` holds another run, or a checkpoint that is cut short.
        InputError: no such hardware here.
        OutputError: `output` cannot be written.
    """
    if not (output / MODEL).exists():
        run = _Run(recipe, photos, validation, output, hardware or Hardware())
        try:
            with Bar("training", recipe.steps) as bar:
                bar.step(run.step)
                while run.step < recipe.steps:
                    run.round(bar)
                    run.save()
        except KeyboardInterrupt as stop:
            done = run.history[-1].step if run.history else 0  # whole rounds are saved
            stop.add_note(f"{done} of {recipe.steps} steps are in {output}; the same command goes on from there")
            raise
        run.finish()
    saved = _load_same_run(output / MODEL, recipe, photos)
    network = FaceDetectorNetwork()
    network.load_state_dict(dict(saved.tensors))
    return network.eval()


class _Run:
    """The state of a run between its rounds."""

    def __init__(
        self,
        recipe: DetectorRecipe,
        photos: Sequence[LabelledPhoto],
        validation: Sequence[LabelledPhoto],
        output: Path,
        hardware: Hardware,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.photos, self.output, self.step = recipe, photos, output, 0
        self.history: list[RoundRecord] = []
        self.fabric = start_fabric(recipe.precision, hardware)
        self.maker, self.watched = SceneMaker(photos, recipe.scenes), SceneMaker(validation, recipe.scenes)
        network = FaceDetectorNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch leaves it out of the stub
        self.network: FaceDetectorNetwork = network
        self.average = WeightAverage(network, recipe.ema)
        optimizer = torch.optim.AdamW(decay_groups(network, recipe.weight_decay), lr=recipe.learning_rate)
        self.model, self.optimizer = self.fabric.setup(network, optimizer)
        self.average.model.to(self.fabric.device)
        centres, strides = cell_centres(recipe.scenes.canvas, recipe.scenes.canvas)
        self.cells = tuple(torch.from_numpy(a).to(self.fabric.device) for a in (centres, strides))
        if (output / CHECKPOINT).exists():
            self._restore()
        else:
            with atomic_file(output / "recipe.toml") as path:
                path.write_text(tomli_w.dumps(recipe.to_dict()), encoding="utf-8")

    def round(self, bar: Bar) -> None:
        """Some hundred steps, and one look at the validation scenes."""
        recipe, first = self.recipe, self.step
        last = min(first + ROUND, recipe.steps)
        started, total, rate = time.perf_counter(), 0.0, 0.0
        self.model.train()
        for images, targets in _batches(self.maker, recipe, range(first, last)):
            rate = one_cycle(self.step / recipe.steps, recipe.learning_rate)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            loss = self._loss(self.model, images, targets).total
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=10.0)
            self.optimizer.step()
            self.average.update(self.network, self.step)
            self.step += 1
            total += float(loss.detach())
            bar.step(note=f"loss {total / (self.step - first):.3f}")
        speed = (last - first) * recipe.batch_size / (time.perf_counter() - started)
        watched = self._watch()
        record = RoundRecord(self.step, rate, total / (last - first), *watched, speed)
        self.history.append(record)
        log.info(
            "%s: step %d of %d, loss %.4f, validation %.4f (score %.4f, box %.4f, landmarks %.4f), %.0f scenes/s",
            *(self.output, self.step, recipe.steps, record.loss, *watched, speed),
        )

    def _loss(self, model: torch.nn.Module, images: Tensor, targets: Tensor) -> Losses:
        images, targets = self.fabric.to_device((images, targets))
        return detection_loss(model(images).float(), targets, *self.cells)

    @torch.no_grad()
    def _watch(self) -> tuple[float, float, float, float]:
        batches = _batches(self.watched, self.recipe, range(-_WATCHED, 0))
        losses = [torch.stack(self._loss(self.average.model, *batch)) for batch in batches]
        total, score, box, landmarks = torch.stack(losses).mean(0).tolist()
        return total, score, box, landmarks

    def save(self) -> None:
        """Write the checkpoint that a later start goes on from."""
        tensors = {f"model.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        tensors |= {f"average.{k}": v for k, v in self.average.model.state_dict().items()}
        save_checkpoint(self.output / CHECKPOINT, tensors, self._details())

    def finish(self) -> None:
        """Write the averaged network and the history; the checkpoint goes."""
        path = self.output / "history.csv"
        with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [f.name for f in fields(RoundRecord)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(record) for record in self.history)
        save_checkpoint(self.output / MODEL, self.average.model.state_dict(), self._details())
        (self.output / CHECKPOINT).unlink(missing_ok=True)

    def _restore(self) -> None:
        saved = _load_same_run(self.output / CHECKPOINT, self.recipe, self.photos)
        self.network.load_state_dict(saved.part("model."))
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        self.average.model.load_state_dict(saved.part("average."))
        self.history = [RoundRecord(**record) for record in saved.details["history"]]
        self.step = self.history[-1].step

    def _details(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.to_dict(),
            "photos": _fingerprint(self.photos),
            "history": [asdict(record) for record in self.history],
        }


def _batches(maker: SceneMaker, recipe: DetectorRecipe, steps: range) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield uint8 images N x S x S x 3 and float32 targets N x C x 16; seed and step alone decide which."""
    size = recipe.scenes.canvas

    def prepare(step: int) -> tuple[Tensor, Tensor]:
        random = np.random.default_rng((recipe.seed, step & 0xFFFFFFFF))
        scenes = [maker.scene(random) for _ in range(recipe.batch_size)]
        targets = np.stack([assign(scene.faces, scene.unsure, size, size) for scene in scenes])
        return torch.from_numpy(np.stack([scene.image for scene in scenes])), torch.from_numpy(targets)

    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
        for step in steps:
            waiting.append(pool.submit(prepare, step))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _fingerprint(photos: Sequence[LabelledPhoto]) -> str:
    """Tells runs on other photos or labels apart."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(f"{photo.source}\0{photo.file}\0".encode() + photo.faces.tobytes())
    return digest.hexdigest()


def _load_same_run(path: Path, recipe: DetectorRecipe, photos: Sequence[LabelledPhoto]) -> Checkpoint:
    saved = load_checkpoint(path)
    if saved.details.get("recipe") != recipe.to_dict() or saved.details.get("photos") != _fingerprint(photos):
        raise CheckpointError(
            f"{path} belongs to a run with another recipe or other photos", remedy="choose another --output"
        )
    return saved
