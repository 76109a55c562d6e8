"""What a step of the classifier's training goes down from: the place for further terms."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from facegender.lab.training.batches import Batch


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


def classification_loss(model: nn.Module, batch: Batch, class_weights: Tensor, label_smoothing: float) -> StepLoss:
    """Cross-entropy of a batch.

    Args:
        model: crops to logits.
        batch: on the model's device.
        class_weights: float32, 2.
        label_smoothing: share of the target spread over both classes.
    """
    logits = model(batch.crops).float()
    each = F.cross_entropy(logits, batch.labels, reduction="none", label_smoothing=label_smoothing)
    weights = batch.weights * class_weights[batch.labels]
    right = (logits.argmax(1) == batch.labels).sum()
    return StepLoss((each * weights).sum() / weights.sum(), each.detach(), right)
