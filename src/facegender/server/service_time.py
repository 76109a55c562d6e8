"""How long tasks will take, estimated from how long earlier ones took."""

from __future__ import annotations

import numpy as np

#: Weight of earlier batches after one more batch.
_DECAY = 0.95


class ServiceTimeEstimator:
    """Seconds for each task and for each byte: a photo of twelve megapixels takes as long as fifteen small ones.

    Least squares over the batches, weighted towards the latest.
    """

    def __init__(self) -> None:
        self._squares, self._products = np.zeros((2, 2)), np.zeros(2)
        self._per_task = self._per_byte = 0.0

    def update(self, tasks: int, size: int, seconds: float) -> None:
        """Learn from a batch of `tasks` tasks with `size` bytes together that took `seconds`."""
        batch = np.array([tasks, size], float)
        self._squares = _DECAY * self._squares + np.outer(batch, batch)
        self._products = _DECAY * self._products + seconds * batch
        self._per_task, self._per_byte = float(self._products[0] / self._squares[0, 0]), 0.0
        scale = np.sqrt(np.diag(self._squares))
        if scale[1] == 0 or np.linalg.det(self._squares / np.outer(scale, scale)) < 1e-6:
            return  # all tasks are about alike, and bytes explain nothing
        per_task, per_byte = map(float, np.linalg.solve(self._squares, self._products))
        if per_byte >= 0:
            only_bytes = 0.0, float(self._products[1] / self._squares[1, 1])
            self._per_task, self._per_byte = (per_task, per_byte) if per_task >= 0 else only_bytes

    def predict(self, tasks: int, size: int) -> float:
        """Seconds that `tasks` tasks with `size` bytes together should take; 0 before the first batch."""
        return self._per_task * tasks + self._per_byte * size
