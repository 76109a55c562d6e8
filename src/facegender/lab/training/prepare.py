"""Batches made in a process of their own while the training step before them runs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch.utils.data import DataLoader, Dataset

R = TypeVar("R")


@dataclass(frozen=True)
class _Batches(Dataset[R], Generic[R]):
    make: Callable[[int], R]
    steps: Sequence[int]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, place: int) -> R:
        return self.make(self.steps[place])


def prepared(make: Callable[[int], R], steps: Sequence[int]) -> Iterator[R]:
    """What `make` gives for each step, in order.

    In a thread, `make` and the training step wait for each other's interpreter lock. A process that is not forked would
    get a copy of all crops, so that where there is no fork the batches are made in this process.
    """
    fork = "fork" in multiprocessing.get_all_start_methods()
    return iter(
        DataLoader(
            _Batches(make, steps),
            batch_size=None,
            num_workers=int(fork),
            multiprocessing_context="fork" if fork else None,
        )
    )
