"""Batches for one epoch, prepared one ahead of the training step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facegender.faces.types import Crops
from facegender.training.augment import augment
from facegender.training.recipe import Recipe


def epoch_batches(
    recipe: Recipe,
    crops: Crops,
    labels: npt.NDArray[np.int64],
    index: npt.NDArray[np.int64],
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (uint8 crops N x 64 x 64 x 3, int64 labels N) in an order that seed and epoch alone decide.

    Each process of `world_size` takes its share of every batch. A last, smaller batch is left out, so that batch
    normalisation never sees a handful of crops.
    """
    order = np.random.default_rng((recipe.seed, epoch)).permutation(index)
    size = min(recipe.batch_size, len(order))
    steps = len(order) // size

    def prepare(step: int) -> tuple[Tensor, Tensor]:
        # Sorted, so that a memory-mapped store is read forwards.
        chosen = np.sort(order[step * size + rank : (step + 1) * size : world_size])
        batch = np.ascontiguousarray(crops[chosen])
        if recipe.augmentation != type(recipe.augmentation)():
            batch = augment(batch, recipe.augmentation, np.random.default_rng((recipe.seed, epoch, step, rank)))
        return torch.from_numpy(batch), torch.from_numpy(labels[chosen])

    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(prepare, 0)
        for step in range(steps):
            current = following.result()
            if step + 1 < steps:
                following = ahead.submit(prepare, step + 1)
            yield current


def steps_per_epoch(recipe: Recipe, examples: int) -> int:
    """Optimizer steps in one epoch over so many crops."""
    return examples // min(recipe.batch_size, examples)
