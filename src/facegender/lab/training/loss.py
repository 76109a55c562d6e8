"""What a step of the classifier's training goes down from: labels, and what a teacher says.

G. Hinton et al., "Distilling the knowledge in a neural network", 2015; A. Romero et al., "FitNets", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facegender.lab.training.batches import Batch
from facegender.lab.training.recipe import Recipe


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
