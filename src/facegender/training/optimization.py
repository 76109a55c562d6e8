"""What the optimizer does with a recipe: rates, decay, loss weights, averaged weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facegender.faces.types import Crops
from facegender.training.recipe import Recipe

WARM_UP = 0.2  # share of the one-cycle schedule


def learning_rate(recipe: Recipe, epoch: int, step: int, per_epoch: int) -> float:
    """The rate of one step under the recipe's schedule."""
    if recipe.schedule == "step":
        return recipe.learning_rate * recipe.decay ** (epoch // recipe.decay_epochs)
    steps = recipe.epochs * per_epoch
    return one_cycle(max(epoch * per_epoch + step, 0.25) / steps, recipe.learning_rate)


def one_cycle(done: float, peak: float, warm_up: float = WARM_UP) -> float:
    """The rate when a share `done` of the steps is behind us: up in a line, then down along a cosine to zero."""
    if done < warm_up:
        return peak * done / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """SGD, AdamW or Muon; weights decay, biases and batch normalisation do not."""
    if recipe.optimizer == "muon":
        return Muon(model, recipe.learning_rate, recipe.momentum, recipe.weight_decay)
    groups = decay_groups(model, recipe.weight_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for the filters of convolutions, AdamW for everything else.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024: the momentum of a filter bank,
    as a matrix of one row a filter, is replaced by the nearest orthogonal one. As batch normalisation follows, only a
    filter's direction matters: after each step a bank is scaled to the norm that makes the rate a relative step.
    PyTorch's own Muon takes matrices only, and computes in bfloat16, which many processors lack.

    Args:
        model: whose parameters to change.
        lr: relative step of the filters; the rest moves by `REST` times that.
        momentum: Nesterov momentum of the filters.
        weight_decay: of the other weights.
    """

    REST = 0.05

    def __init__(self, model: nn.Module, lr: float, momentum: float, weight_decay: float) -> None:
        parameters = list(model.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim == 4], "momentum": momentum},
            {"params": [p for p in parameters if p.ndim in (2, 3)], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2]},
        ]
        super().__init__([g for g in groups if g["params"]], {"lr": lr, "momentum": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure, no loss
        """Change the parameters by their gradients."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if p.ndim == 4:
                    _turn_filters(p, p.grad, state, group["lr"], group["momentum"])
                else:
                    _adam(p, p.grad, state, group["lr"] * self.REST, group["weight_decay"])


def _turn_filters(p: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float, momentum: float) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(p)
    state["momentum"].lerp_(gradient, 1 - momentum)
    direction = gradient.lerp(state["momentum"], momentum)
    turn = _orthogonal(direction.reshape(len(p), -1)).reshape(p.shape)
    norm = len(p) ** 0.5
    p.mul_(norm / p.norm()).sub_(turn, alpha=rate)
    p.mul_(norm / p.norm())


def _orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix of orthonormal rows (or columns), nearly, by five Newton-Schulz iterations."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


def _adam(p: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float, weight_decay: float) -> None:
    if not state:
        state.update(step=torch.tensor(0.0), mean=torch.zeros_like(p), square=torch.zeros_like(p))
    state["step"] += 1
    state["mean"].lerp_(gradient, 0.1)
    state["square"].lerp_(gradient.square(), 0.001)
    step = float(state["step"])
    scale = (state["square"] / (1 - 0.999**step)).sqrt_().add_(1e-8)
    p.mul_(1 - rate * weight_decay).addcdiv_(state["mean"], scale, value=-rate / (1 - 0.9**step))


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


@torch.no_grad()
def measure_population(classifier: nn.Module, crops: Crops, index: npt.NDArray[np.int64], batch_size: int) -> None:
    """Set the mean and variance of every batch normalisation to those over the given crops, in place."""
    norms = [m for m in classifier.modules() if isinstance(m, nn.BatchNorm2d)]
    device = next(classifier.parameters()).device
    classifier.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
        norm.train()
    # In a fixed random order: a store is sorted by name, and a batch of one person is no sample of all.
    order = np.random.default_rng(0).permutation(index)
    size = min(batch_size, len(order))
    for start in range(0, len(order) - size + 1, size):
        batch = np.ascontiguousarray(crops[np.sort(order[start : start + size])])
        classifier(torch.from_numpy(batch).to(device))
    for norm in norms:
        norm.momentum = 0.1
    classifier.eval()


class WeightAverage:
    """Exponential moving average of all weights and running statistics.

    The decay grows with the steps taken, so that the first epochs are not dominated by the initial weights.

    Attributes:
        model: the averaged network, in evaluation mode.
    """

    def __init__(self, classifier: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(classifier).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, classifier: nn.Module, step: int) -> None:
        """Take in the weights after one step."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for mine, new in zip(self.model.state_dict().values(), classifier.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(new, 1 - decay)
            else:
                mine.copy_(new)
