"""How long tasks take, learned from how long earlier ones took."""

from __future__ import annotations

import numpy as np

#: What one more batch leaves of the weight of those before it.
_MEMORY = 0.95


class Pace:
    """So many seconds a task, and so many a byte: a photo of twelve megapixels takes as long as fifteen small ones.

    Least squares over the batches, of which the latest count most.
    """

    def __init__(self) -> None:
        self._squares, self._products = np.zeros((2, 2)), np.zeros(2)
        self._each = self._byte = 0.0

    def learn(self, tasks: int, size: int, seconds: float) -> None:
        """Take in that so many tasks, of so many bytes together, took so long."""
        batch = np.array([tasks, size], float)
        self._squares = _MEMORY * self._squares + np.outer(batch, batch)
        self._products = _MEMORY * self._products + seconds * batch
        self._each, self._byte = float(self._products[0] / self._squares[0, 0]), 0.0
        scale = np.sqrt(np.diag(self._squares))
        if scale[1] == 0 or np.linalg.det(self._squares / np.outer(scale, scale)) < 1e-6:
            return  # all tasks are about alike, and bytes explain nothing
        each, byte = np.linalg.solve(self._squares, self._products)
        if byte >= 0:
            by_byte = 0.0, float(self._products[1] / self._squares[1, 1])
            self._each, self._byte = (float(each), float(byte)) if each >= 0 else by_byte

    def seconds(self, tasks: int, size: int) -> float:
        """What so many tasks, of so many bytes together, should take; 0 before anything is known."""
        return self._each * tasks + self._byte * size
