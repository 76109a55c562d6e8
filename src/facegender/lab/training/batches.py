"""Batches for one epoch, prepared one ahead of the training step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facegender.faces.types import CROP_SIZE, Crops
from facegender.lab.training.augment import augment
from facegender.lab.training.lessons import Lessons
from facegender.lab.training.recipe import Augmentation, Recipe
from facegender.prefetch import ahead


@dataclass(frozen=True)
class Selection:
    """The crops of one epoch.

    Attributes:
        index: int64, N, ascending.
        weights: float32, N; how much each counts in the loss.
    """

    index: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


def select(
    recipe: Recipe,
    index: npt.NDArray[np.int64],
    losses: npt.NDArray[np.float32],
    epoch: int,
    counted: npt.NDArray[np.float32] | None = None,
) -> Selection:
    """The crops that an epoch sees: all, or fewer of those whose last loss was below the mean (`Recipe.pruning`).

    Args:
        index: the training crops, ascending.
        losses: the last loss of each; infinite where there was none yet.
        epoch: counted from 0.
        counted: float32, one for each; how much it counts in the loss. None: all alike.
    """
    weights = np.ones(len(index), np.float32) if counted is None else counted.copy()
    seen = np.isfinite(losses)
    if not recipe.pruning or not seen.any() or epoch >= recipe.epochs * 7 / 8:
        return Selection(index, weights)
    easy = losses < losses[seen].mean()
    mask = ~easy | (np.random.default_rng((recipe.seed, epoch, 1)).random(len(index)) >= recipe.pruning)
    weights[easy] *= 1 / (1 - recipe.pruning)
    return Selection(index[mask], weights[mask])


@dataclass
class Batch:
    """One step's crops; not frozen, so that Fabric can move it to a device.

    Attributes:
        crops: uint8, N x S x S x 3.
        labels: int64, N.
        weights: float32, N; how much each counts.
        index: int64, N; where each stands in the store.
        answers, descriptions: a teacher's, float32, N and N x E (`Lessons`); None without one.
    """

    crops: Tensor
    labels: Tensor
    weights: Tensor
    index: npt.NDArray[np.int64]
    answers: Tensor | None = None
    descriptions: Tensor | None = None


def epoch_batches(
    recipe: Recipe,
    crops: Crops,
    labels: npt.NDArray[np.int64],
    selection: Selection,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
    lessons: Lessons | None = None,
) -> Iterator[Batch]:
    """The batches of an epoch in an order that seed and epoch alone decide.

    Each process of `world_size` takes its share of every batch. A last, smaller batch is left out, so that batch
    normalisation never sees a handful of crops.
    """
    order = np.random.default_rng((recipe.seed, epoch)).permutation(len(selection.index))
    size = min(recipe.batch_size, len(order))
    steps = len(order) // size
    side = recipe.crop_size(epoch, min(CROP_SIZE, crops.shape[1]))

    def prepare(step: int) -> Batch:
        # Sorted, so that a memory-mapped store is read forwards.
        places = np.sort(order[step * size + rank : (step + 1) * size : world_size])
        rows = selection.index[places]
        batch = np.ascontiguousarray(crops[rows])
        if side != crops.shape[1] or recipe.augmentation != Augmentation():
            random = np.random.default_rng((recipe.seed, epoch, step, rank))
            batch = augment(batch, recipe.augmentation, random, side)
        weights = torch.from_numpy(selection.weights[places])
        answers, descriptions = None, None
        if lessons is not None:
            answers = torch.from_numpy(lessons.logits[rows])
            descriptions = torch.from_numpy(lessons.descriptions[rows])
        return Batch(torch.from_numpy(batch), torch.from_numpy(labels[rows]), weights, rows, answers, descriptions)

    return ahead(prepare, range(steps))


def steps_per_epoch(recipe: Recipe, examples: int) -> int:
    """Optimizer steps in one epoch over this number of crops."""
    return examples // min(recipe.batch_size, examples)
