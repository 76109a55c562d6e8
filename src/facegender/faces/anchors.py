"""The output of the face detector's network, a column of values for each anchor point, and the faces in it.

The network takes ``images``, uint8 N x H x W x 3 RGB with H and W multiples of 32, and gives ``cells``, float32
N x 15 x C: the anchor points of stride 8, then 16, then 32, each level row by row. The values of an anchor point::

    0       score in [0, 1]
    1, 2    from the anchor point to the box's centre, x and y, in strides
    3, 4    width and height of the box, as the natural logarithm of strides
    5 - 14  from the anchor point to the five landmarks, x and y each, in strides

Coordinates are continuous: pixel (0, 0) covers [0, 1) x [0, 1), and the first anchor point of stride 8 lies at
(4, 4).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

#: One face a row, float32, N x 15: x, y, width, height, five landmarks (x, y each), score; in pixels.
FaceRows = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
#: Width and height of an image are multiples of it.
MULTIPLE = STRIDES[-1]
VALUES = 15

#: Logarithms beyond are nonsense, and their exponentials overflow.
_LOG_SIZE = 6.0


@lru_cache(maxsize=64)
def anchor_points(height: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Anchor points, C x 2 (x, y) in pixels, and their strides, C, of an image, in the network's order."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : height // stride, 0 : width // stride].reshape(2, -1)
        centres.append(np.stack([x + 0.5, y + 0.5], axis=1) * stride)
        strides.append(np.full(len(x), stride))
    return np.concatenate(centres).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decode_faces(cells: npt.NDArray[np.float32], height: int, width: int, min_score: float) -> FaceRows:
    """The faces that the network gives for one image, before duplicates are merged: N x 15.

    Args:
        cells: float32, 15 x C, the output of the network.
        height, width: of the image in pixels, multiples of `MULTIPLE`.

    Raises:
        ValueError: not one column for every anchor point, or a face without a finite place.
    """
    centres, strides = anchor_points(height, width)
    if cells.shape != (VALUES, len(centres)):
        raise ValueError(f"{cells.shape} values for {len(centres)} cells of {VALUES}")
    likely = np.flatnonzero(cells[0] >= min_score)
    if not len(likely):
        return np.empty((0, VALUES), np.float32)
    values, centre, stride = cells[:, likely].T, centres[likely], strides[likely, None]
    rows = np.empty((len(likely), VALUES), np.float32)
    rows[:, 2:4] = np.exp(np.clip(values[:, 3:5], -_LOG_SIZE, _LOG_SIZE)) * stride
    rows[:, :2] = centre + values[:, 1:3] * stride - rows[:, 2:4] / 2
    points = centre[:, None] + values[:, 5:].reshape(-1, 5, 2) * stride[:, None]
    rows[:, 4:14] = points.reshape(-1, 10)
    rows[:, 14] = values[:, 0]
    if not np.isfinite(rows).all():
        raise ValueError("a face whose place or score is no finite number")
    return rows


def overlaps(box: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Intersection over union of one box (x, y, width, height) and N others: float32, N."""
    left = np.maximum(box[0], boxes[:, 0])
    top = np.maximum(box[1], boxes[:, 1])
    right = np.minimum(box[0] + box[2], boxes[:, 0] + boxes[:, 2])
    bottom = np.minimum(box[1] + box[3], boxes[:, 1] + boxes[:, 3])
    common = np.clip(right - left, 0, None) * np.clip(bottom - top, 0, None)
    union = box[2] * box[3] + boxes[:, 2] * boxes[:, 3] - common
    share: npt.NDArray[np.float32] = common / np.maximum(union, 1e-6)
    return share
