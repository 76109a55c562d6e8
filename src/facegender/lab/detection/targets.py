"""Which cell answers for which face, and the loss that follows from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from facegender.faces.anchors import STRIDES, FaceRows, anchor_points

#: Sides in pixels of the faces that each stride answers for; where two overlap, both do.
_SIDES = ((0.0, 44.0), (36.0, 110.0), (90.0, np.inf))
#: Cells around the centre of a face that answer for it: distance in strides, and in sides of the face.
_REACH_STRIDES, _REACH_SIDES = 1.5, 0.4

#: So that each part counts about alike once training is under way.
_SCORE_WEIGHT, _BOX_WEIGHT, _LANDMARK_WEIGHT = 2.0, 2.0, 12.0

#: Columns of a target: what the cell is (0 background, 1 face, -1 neither), side of the face, box, landmarks.
COLUMNS = 16

Array = npt.NDArray[np.float32]


class Losses(NamedTuple):
    """Scalars; the first is what is minimised."""

    total: Tensor
    score: Tensor
    box: Tensor
    landmarks: Tensor


def assign(faces: FaceRows, unsure: FaceRows, height: int, width: int) -> Array:
    """The target of every cell of one image: float32, C x 16 (`COLUMNS`).

    Args:
        faces: N x 15, to be found.
        unsure: M x 15; cells within count as neither face nor background.
        height, width: of the image, multiples of 32.
    """
    centres, strides = anchor_points(height, width)
    targets = np.zeros((len(centres), COLUMNS), np.float32)
    for x, y, w, h in unsure[:, :4]:
        inside = (np.abs(centres - (x + w / 2, y + h / 2)) < np.maximum((w / 2, h / 2), strides[:, None])).all(1)
        targets[inside, 0] = -1
    sides = np.sqrt(faces[:, 2] * faces[:, 3])
    for index in np.argsort(-sides):  # the smallest has the last word
        face, side = faces[index], sides[index]
        x, y, w, h = face[:4]
        away = np.abs(centres - (x + w / 2, y + h / 2)).max(1)
        for stride, (low, high) in zip(STRIDES, _SIDES, strict=True):
            if low <= side < high:
                level = strides == stride
                reach = min(_REACH_STRIDES * stride, _REACH_SIDES * side)
                nearest = away[level].min() + 1e-3
                positive = level & (away <= max(reach, nearest))
                targets[positive, 0] = 1
                targets[positive, 1] = side
                targets[positive, 2:6] = x + w / 2, y + h / 2, w, h
                targets[positive, 6:] = face[4:14]
    return targets


def detection_loss(cells: Tensor, targets: Tensor, centres: Tensor, strides: Tensor) -> Losses:
    """Quality focal loss for the score, GIoU for the box, L1 for the landmarks.

    X. Li et al., "Generalized Focal Loss", NeurIPS 2020; H. Rezatofighi et al., "Generalized Intersection over
    Union", CVPR 2019.

    Args:
        cells: float32, N x 15 x C, of the network.
        targets: float32, N x C x 16, of `assign`.
        centres: float32, C x 2, of `facegender.faces.anchors.anchor_points`.
        strides: float32, C, likewise.
    """
    cells = cells.transpose(1, 2)
    positive = targets[..., 0] == 1
    faces = targets[positive]
    where = positive.nonzero()[:, 1]
    found = cells[positive]
    stride, centre = strides[where, None], centres[where]
    box_centre = centre + found[:, 1:3] * stride
    box_size = found[:, 3:5].clamp(-4, 6).exp() * stride
    iou, giou = _overlap(box_centre, box_size, faces[:, 2:4], faces[:, 4:6])
    points = centre.repeat(1, 5) + found[:, 5:] * stride
    count = max(len(faces), 1)
    away = (points - faces[:, 6:]).abs() / faces[:, 1:2]
    landmarks = away.mean(1).sum() / count
    box = (1 - giou).sum() / count

    quality = torch.zeros_like(targets[..., 0])
    quality[positive] = iou.detach().clamp(0, 1)
    logits = cells[..., 0]
    weight = (torch.sigmoid(logits) - quality).square() * (targets[..., 0] >= 0)
    score = (weight * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")).sum() / count
    total = _SCORE_WEIGHT * score + _BOX_WEIGHT * box + _LANDMARK_WEIGHT * landmarks
    return Losses(total, score.detach(), box.detach(), landmarks.detach())


def _overlap(centre_a: Tensor, size_a: Tensor, centre_b: Tensor, size_b: Tensor) -> tuple[Tensor, Tensor]:
    low_a, high_a = centre_a - size_a / 2, centre_a + size_a / 2
    low_b, high_b = centre_b - size_b / 2, centre_b + size_b / 2
    common = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(1)
    hull = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).prod(1)
    union = size_a.prod(1) + size_b.prod(1) - common
    iou = common / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
