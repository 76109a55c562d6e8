"""Interleaved rounds: every case is timed once a round, in turn, so that a busy machine disturbs all alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facegender.lab.benchmark.runtimes import Call
from facegender.lab.benchmark.subjects import Subject

#: A function and its endless batches.
Stream: TypeAlias = tuple[Call, Iterator[npt.NDArray[Any]]]

#: Side of the square matrices whose product is the ceiling: large enough to fill the cores, small enough for a round.
_MATRIX = 1024
#: A case is timed so often even where its calls are long.
_LEAST_ROUNDS = 3


@dataclass
class Case:
    """What is timed, and the times so far.

    Attributes:
        subject: the network.
        runtime, device, precision: how it runs.
        batch: crops a call.
        streams: one function and its batches for each call that runs at the same time.
        typical: seconds of one call, as the warm-up found it.
        calls: seconds of every call of every stream.
        per_image: by round, elapsed seconds over images, of all streams together.
        images: how many were classified.
    """

    subject: Subject
    runtime: str
    device: str
    precision: str
    batch: int
    streams: Sequence[Stream]
    typical: float
    calls: list[float] = field(default_factory=list)
    per_image: dict[int, float] = field(default_factory=dict)
    images: int = 0

    @property
    def spent(self) -> float:
        """Seconds that this case was timed for."""
        return sum(self.calls) / len(self.streams)


def batches_of(inputs: npt.NDArray[Any], size: int, first: int = 0) -> Iterator[npt.NDArray[Any]]:
    """Endless batches, views, one after the other through the inputs from the `first` on, and again from the start."""
    if len(inputs) < size:
        inputs = np.resize(inputs, (size, *inputs.shape[1:]))
    for number in count(first):
        begin = number % (len(inputs) // size) * size
        yield inputs[begin : begin + size]


def warm_up(streams: Sequence[Stream], seconds: float) -> float:
    """Call every stream, then the first one for at most `seconds`; seconds of the quickest of these calls."""
    for call, batches in streams:
        call(next(batches))
    call, batches = streams[0]
    return min(_repeat(call, batches, time.perf_counter() + seconds))


def time_round(number: int, cases: Sequence[Case], slot: float, seconds: float) -> Iterator[None]:
    """Time every case once; yields after each.

    Args:
        slot: seconds for one case in this round; one call is made in any case.
        seconds: for one case in all rounds together; a case that would go over is left alone after three rounds.
    """
    for case in cases:
        if case.spent + case.typical <= seconds or len(case.per_image) < _LEAST_ROUNDS:
            _time_case(number, case, slot)
        yield


def matmul_rate(slot: float) -> float:
    """Multiply-accumulates a second of a float32 matrix product on PyTorch's threads, timed for `slot` seconds."""
    one, other = _matrices()
    torch.mm(one, other)
    products, started = 0, time.perf_counter()
    while products == 0 or time.perf_counter() < started + slot:
        torch.mm(one, other)
        products += 1
    return products * _MATRIX**3 / (time.perf_counter() - started)


@cache
def _matrices() -> tuple[Tensor, Tensor]:
    return torch.rand(_MATRIX, _MATRIX), torch.rand(_MATRIX, _MATRIX)


def _time_case(number: int, case: Case, slot: float) -> None:
    if case.typical < slot:
        # The cases before have emptied the caches, and their threads may still spin; a long call does not mind.
        call, batches = case.streams[0]
        call(next(batches))
    with ThreadPoolExecutor(len(case.streams)) as pool:
        started = time.perf_counter()
        if len(case.streams) == 1:
            times = [_repeat(*case.streams[0], started + slot)]
        else:
            running = [pool.submit(_repeat, *stream, started + slot) for stream in case.streams]
            times = [stream.result() for stream in running]
        elapsed = time.perf_counter() - started
    images = case.batch * sum(map(len, times))
    for stream_times in times:
        case.calls += stream_times
    case.per_image[number] = elapsed / images
    case.images += images


def _repeat(call: Call, batches: Iterator[npt.NDArray[Any]], until: float) -> list[float]:
    """Call until the time is over, once at least; seconds of every call."""
    times: list[float] = []
    before = time.perf_counter()
    while not times or before < until:
        call(next(batches))
        after = time.perf_counter()
        times.append(after - before)
        before = after
    return times
