"""The benchmark: from networks to their times on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from facegender.errors import InputError, MissingExtraError
from facegender.faces.types import Crops
from facegender.lab.benchmark.results import Benchmark, Skipped, summarise
from facegender.lab.benchmark.runtimes import (
    PRECISIONS,
    RUNTIMES,
    Engine,
    Setup,
    Unavailable,
    devices_of,
    installed,
    start,
)
from facegender.lab.benchmark.subjects import Subject, take_crops
from facegender.lab.benchmark.timing import Case, batches_of, matmul_rate, time_round, warm_up
from facegender.lab.datasets.store import Store
from facegender.lab.export.quantize import quantize
from facegender.machine import hardware, usable_cores, versions
from facegender.progress import Bar

BATCHES = (1, 8, 32, 64, 128, 256)
#: Crops that the paper averages over.
CROPS = 1200
#: A case is timed if at least this number of calls fits its time.
_LEAST_CALLS = 3
_WARM_UP_SECONDS = 0.1
#: Crops whose activations say what range int8 has to cover.
_CALIBRATION_CROPS = 256
_PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "numpy")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during the rounds; `partial` holds what was measured until then."""

    def __init__(self, partial: Benchmark) -> None:
        super().__init__()
        self.partial = partial


def benchmark(
    subjects: Sequence[Subject],
    store: Store | None = None,
    *,
    crops: int = CROPS,
    runtimes: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    precisions: Sequence[str] = PRECISIONS,
    batches: Sequence[int] = BATCHES,
    streams: Sequence[int] | None = None,
    threads: int | None = None,
    seconds: float = 2.0,
    rounds: int = 10,
    command: str = "",
) -> Benchmark:
    """Time networks in every runtime, device and precision that is there.

    Args:
        subjects: the networks (`registered`, `trained`, `exported`); ratios are against the first.
        store: whose crops are classified; None takes seeded noise.
        runtimes: of `RUNTIMES`; None takes all that are installed.
        devices: ``cpu``, ``cuda``, ``gpu``, ``npu`` or ``auto``; None takes all that the runtimes find.
        batches: crops a call.
        streams: calls at the same time, with an equal share of the threads each; None takes 1 and `threads`. PyTorch
            and CUDA are timed with 1 only.
        threads: of the CPU, at most; None takes all usable cores.
        seconds: for each case, all rounds together. A batch of which this holds no three calls is skipped, unless it is
            the smallest of them all.
        rounds: in each, every case is timed once.

    Raises:
        InputError: an unknown runtime, device or precision, a number out of range, or nothing that can be timed.
        MissingExtraError: a runtime that was asked for is not installed.
        Interrupted: Ctrl-C during the rounds.
    """
    threads = usable_cores() if threads is None else threads
    streams = sorted({1, threads}) if streams is None else streams
    _check(subjects, runtimes, precisions, {"crops": [crops], "batches": batches, "threads": [threads]})
    if any(not 1 <= number <= threads for number in streams):
        raise InputError(f"streams must lie between 1 and the {threads} threads that they share")
    if not seconds > 0 or rounds < 1:
        raise InputError("a benchmark needs some seconds and at least one round")
    taken = take_crops(store, crops)
    described = f"{len(taken):,} crops of {'seeded noise' if store is None else store.name}"
    skipped: list[Skipped] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        places = _places(runtimes, devices, skipped)
        plan = _Plan(taken, places, precisions, sorted(batches), streams, threads, seconds, skipped)
        with Bar("preparing", len(subjects) * len(places) * len(precisions)) as bar:
            cases = [case for subject in subjects for case in plan.cases(subject, bar)]
        # The networks of one way to run stand side by side, so that their ratios come from times close together.
        cases.sort(
            key=lambda c: (RUNTIMES.index(c.runtime), c.device, PRECISIONS.index(c.precision), len(c.streams), c.batch)
        )
        if not cases:
            reasons = "; ".join(dict.fromkeys(skip.reason for skip in skipped))
            raise InputError(f"nothing can be timed: {reasons}")
        ceiling: dict[int, float] = {}

        def found(complete: bool) -> Benchmark:
            low, middle, high = np.quantile(list(ceiling.values()), (0.1, 0.5, 0.9)).tolist()
            return Benchmark(
                timings=summarise(cases, subjects[0], ceiling, threads),
                skipped=tuple(skipped),
                crops=described,
                threads=threads,
                seconds=seconds,
                rounds=rounds,
                complete=complete,
                ceiling=(low, middle, high),
                command=command,
                machine=hardware(),
                versions=versions(*_PACKAGES),
            )

        try:
            with Bar("timing", rounds * len(cases)) as bar:
                for number in range(rounds):
                    ceiling[number] = matmul_rate(seconds / rounds)
                    for _ in time_round(number, cases, seconds / rounds, seconds):
                        bar.step()
        except KeyboardInterrupt as stop:
            if not ceiling:
                raise
            raise Interrupted(found(complete=False)) from stop
        return found(complete=True)
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Plan:
    """Starts the networks, and leaves out what cannot be timed."""

    crops: Crops
    places: Sequence[tuple[str, str]]
    precisions: Sequence[str]
    batches: Sequence[int]
    streams: Sequence[int]
    threads: int
    seconds: float
    skipped: list[Skipped]

    def cases(self, subject: Subject, bar: Bar) -> Iterator[Case]:
        """The cases of one network, warmed up."""
        inputs = subject.inputs(self.crops)
        every = max(1, len(inputs) // _CALIBRATION_CROPS)
        quantized = cache(lambda: quantize(subject.onnx, inputs[::every][:_CALIBRATION_CROPS]))
        for (runtime, device), precision in product(self.places, self.precisions):
            way = (subject.name, runtime, device, precision)
            one = runtime == "torch" or device == "cuda"
            if one and 1 not in self.streams:
                self.skipped.append(Skipped(*way, None, "PyTorch and CUDA are timed with one stream only"))
            for streams in (number for number in self.streams if number == 1 or not one):
                try:
                    engine = start(Setup(runtime, subject, device, precision, streams, self.threads, quantized))
                except Unavailable as reason:
                    self.skipped.append(Skipped(*way, None, str(reason)))
                    break
                yield from self._of_batches(engine, subject, way, streams, inputs)
            bar.step(status=" ".join(way))

    def _of_batches(
        self, engine: Engine, subject: Subject, way: tuple[str, str, str, str], streams: int, inputs: npt.NDArray[Any]
    ) -> Iterator[Case]:
        per_image = 0.0
        too_long = f"{_LEAST_CALLS} calls do not fit {self.seconds:g} s"
        for batch in self.batches:
            if subject.only_batch not in (None, batch):
                self._skip(way, batch, f"the file takes batches of {subject.only_batch} only")
                continue
            if per_image * batch * _LEAST_CALLS > self.seconds:
                self._skip(way, batch, too_long)
                continue
            try:
                device, calls = engine(batch)
            except Unavailable as reason:
                self._skip(way, batch, str(reason))
                continue
            running = [(call, batches_of(inputs, batch, i)) for i, call in enumerate(calls)]
            typical = warm_up(running, min(_WARM_UP_SECONDS, self.seconds / 5))
            per_image = typical / batch
            if typical * _LEAST_CALLS > self.seconds and batch > self.batches[0]:
                self._skip(way, batch, too_long)
                continue
            _, runtime, _, precision = way
            yield Case(subject, runtime, device, precision, batch, running, typical)

    def _skip(self, way: tuple[str, str, str, str], batch: int, reason: str) -> None:
        skip = Skipped(*way, batch, reason)
        if skip not in self.skipped:
            self.skipped.append(skip)


def _check(
    subjects: Sequence[Subject],
    runtimes: Sequence[str] | None,
    precisions: Sequence[str],
    numbers: Mapping[str, Sequence[int]],
) -> None:
    if not subjects:
        raise InputError("no network was named")
    if len(names := {subject.name for subject in subjects}) < len(subjects):
        raise InputError(f"a network was named twice: {', '.join(sorted(names))}")
    for what, given, known in (("runtime", runtimes or (), RUNTIMES), ("precision", precisions, PRECISIONS)):
        if unknown := set(given) - set(known):
            raise InputError(f"unknown {what} {min(unknown)!r}", remedy=f"one of {', '.join(known)}")
    for what, values in numbers.items():
        if not values or min(values) < 1:
            raise InputError(f"{what} must be 1 or more")


def _places(
    runtimes: Sequence[str] | None, only: Sequence[str] | None, skipped: list[Skipped]
) -> list[tuple[str, str]]:
    """The runtimes that are installed, each with every device that it finds and that is wanted."""
    places = []
    present: set[str] = set()
    for runtime in runtimes or RUNTIMES:
        if not installed(runtime):
            extra = runtime if runtime == "openvino" else "train"
            if runtimes is not None:
                raise MissingExtraError(runtime, extra)
            skipped.append(Skipped("", runtime, "", "", None, str(MissingExtraError(runtime, extra))))
            continue
        found = devices_of(runtime)
        if only is not None and "auto" in only and runtime == "openvino" and "auto" not in found:
            found.append("auto")  # with one device it has no choice, but it can be asked for
        present.update(found)
        places += [(runtime, device) for device in found if only is None or device in only]
    if missing := set(only or ()) - present:
        raise InputError(f"there is no device {min(missing)!r} here", remedy=f"there are: {', '.join(sorted(present))}")
    return places
