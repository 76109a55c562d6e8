"""What the optimizer does with a recipe: rates, decay, loss weights, averaged weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from facegender.faces.types import Crops
from facegender.lab.datasets.store import Store
from facegender.lab.training.recipe import Recipe

WARM_UP = 0.2  # share of the one-cycle schedule


def learning_rate(recipe: Recipe, epoch: int, step: int, per_epoch: int) -> float:
    """The rate of one step under the recipe's schedule."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.decay ** (epoch // recipe.decay_epochs)
    steps = recipe.epochs * per_epoch
    return one_cycle(max(epoch * per_epoch + step, 0.25) / steps, recipe.learning_rate)


def one_cycle(done: float, peak: float) -> float:
    """The rate when a share `done` of the steps is behind us: up in a line, then down along a cosine to zero."""
    if done < WARM_UP:
        return peak * done / WARM_UP
    return peak * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """SGD or AdamW; weights decay, biases and batch normalisation do not."""
    groups = decay_groups(model, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: weights decay, biases and batch normalisation do not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def class_weights(recipe: Recipe, labels: npt.NDArray[np.int64]) -> Tensor:
    """Loss weight of female and male: inverse frequency to the power `class_balance`, 1 on average."""
    share = np.bincount(labels, minlength=2) / len(labels)
    weights = share**-recipe.class_balance
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)


#: No crop counts more than this many times the mean.
_MOST = 5.0
#: What a crop's cell is made of besides its label: attributes of stores, as far as there are any.
_CELL = ("store", "age", "race")


def cell_weights(store: Store, index: npt.NDArray[np.int64], balance: float) -> npt.NDArray[np.float32]:
    """How much each crop counts so that rare cells of store, gender, age and race are heard: 1 on average.

    Args:
        index: int64, N; of the crops.
        balance: exponent of a cell's inverse frequency.

    Returns:
        float32, N.
    """
    columns = [store.attributes[name] for name in _CELL if name in store.attributes]
    cells = [(store.labels[i], *(column[i] for column in columns)) for i in index.tolist()]
    counts = Counter(cells)
    weights = np.array([counts[cell] for cell in cells], np.float64) ** -balance
    weights = np.minimum(weights / weights.mean(), _MOST)
    return np.asarray(weights / weights.mean(), np.float32)


def measure_population(classifier: nn.Module, crops: Crops, index: npt.NDArray[np.int64], batch_size: int) -> None:
    """Set the mean and variance of every batch normalisation to those over the given crops, in place.

    The classifier is in evaluation mode afterwards.
    """
    # In a fixed random order: a store is sorted by name, and a batch of one person is no sample of all.
    order = np.random.default_rng(0).permutation(index)
    size = min(batch_size, len(order))
    batches = (np.array(crops[np.sort(order[i : i + size])]) for i in range(0, len(order) - size + 1, size))
    update_bn(map(torch.from_numpy, batches), classifier, next(classifier.parameters()).device)
    classifier.eval()


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network, in evaluation mode, that keeps the exponential moving average of its weights and buffers.

    The decay grows with the updates, (1 + n) / (10 + n) up to `decay`, so that the first epochs are not dominated by
    the initial weights.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + float(count)) / (10 + float(count)))
        for mine, value in zip(averaged, new, strict=True):
            if mine.is_floating_point():
                mine.lerp_(value, share)
            else:
                mine.copy_(value)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    average.eval()
    return average
