"""What a benchmark found, as typed records and as JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facegender.errors import InputError
from facegender.files import write_text
from facegender.lab.benchmark.subjects import Subject
from facegender.lab.benchmark.timing import Case
from facegender.tables import csv_text

#: Calls that a 99th percentile needs.
_P99_CALLS = 100
#: Decimal places, by field; others are written as they are.
_PLACES = {
    "median_ms": 4,
    "p10_ms": 4,
    "p90_ms": 4,
    "p99_ms": 4,
    "image_ms": 4,
    "images_per_second": 1,
    "ratio": 3,
    "ratio_p10": 3,
    "ratio_p90": 3,
    "ceiling_share": 4,
}


@dataclass(frozen=True)
class Timing:
    """One case: a network in a runtime on a device at a precision, in batches of this size.

    Attributes:
        network: its name; `architecture` is the registry's name for it, "" for an unknown ONNX file.
        parameters: trained values.
        macs: multiply-accumulates an image, None where they are not known.
        input_size: side of its input in pixels.
        runtime, device, precision: how it ran.
        batch: images a call.
        streams: calls at the same time; they share the threads.
        threads: CPU threads of all streams.
        median_ms, p10_ms, p90_ms: of one call, milliseconds, over all calls; `p99_ms` only over 100 calls and more.
        image_ms: mean time of an image: elapsed time over images of all streams in a round, median over the rounds.
        images_per_second: its inverse.
        ratio: mean time of an image over that of the benchmark's first network, everything else alike, in the same
            round: median over the rounds, and `ratio_p10`, `ratio_p90`. None where the first network was not timed so.
        ceiling_share: multiply-accumulates a second over those of a float32 matrix product on the same threads, in the
            same round; median over the rounds. On the CPU only; bf16 and int8 may pass 1.
        rounds, images: how many were timed.
    """

    network: str
    architecture: str
    parameters: int
    macs: int | None
    input_size: int
    runtime: str
    device: str
    precision: str
    batch: int
    streams: int
    threads: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float | None
    image_ms: float
    images_per_second: float
    ratio: float | None
    ratio_p10: float | None
    ratio_p90: float | None
    ceiling_share: float | None
    rounds: int
    images: int


@dataclass(frozen=True)
class Skipped:
    """What was asked for and not timed, and why; "" stands for all networks, devices or precisions, None for all."""

    network: str
    runtime: str
    device: str
    precision: str
    batch: int | None
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """The whole of one run.

    Attributes:
        timings: in the order in which they were timed within a round.
        skipped: what was not timed.
        crops: what was classified, in words.
        threads: of the CPU, that one network could use.
        seconds: for one case.
        rounds: that were asked for.
        complete: False where the run was interrupted.
        ceiling: multiply-accumulates a second of a float32 matrix product: p10, median, p90 over the rounds.
        command: that made this, "" if none did.
        machine: processor and cores.
        versions: of Python and the runtimes.
    """

    timings: tuple[Timing, ...]
    skipped: tuple[Skipped, ...]
    crops: str
    threads: int
    seconds: float
    rounds: int
    complete: bool
    ceiling: tuple[float, float, float]
    command: str
    machine: str
    versions: Mapping[str, str]

    def find(self, **wanted: object) -> list[Timing]:
        """The timings whose fields have these values: ``find(runtime="onnxruntime", batch=1)``."""
        return [t for t in self.timings if all(getattr(t, name) == value for name, value in wanted.items())]

    def fastest(self) -> list[Timing]:
        """For each network, runtime, device and precision, the timing with the most images a second."""
        best: dict[tuple[str, ...], Timing] = {}
        for timing in self.timings:
            key = (timing.network, timing.runtime, timing.device, timing.precision)
            if key not in best or best[key].images_per_second < timing.images_per_second:
                best[key] = timing
        return list(best.values())

    def to_json(self) -> str:
        """All of it as one JSON object."""
        record = asdict(self) | {"timings": [_rounded(timing) for timing in self.timings]}
        record["ceiling"] = dict(zip(("p10", "median", "p90"), map(round, self.ceiling), strict=True))
        return json.dumps(record, indent=2) + "\n"

    def to_csv(self) -> str:
        """One line a timing, each with the crops, the command, the machine and the versions."""
        shared = {
            "crops": self.crops,
            "command": self.command,
            "machine": self.machine,
            "versions": " ".join(f"{name} {number}" for name, number in self.versions.items()),
        }
        return csv_text([{**_rounded(timing), **shared} for timing in self.timings])

    def write(self, folder: Path) -> None:
        """``benchmark.json`` and ``benchmark.csv``.

        Raises:
            OutputError: the folder cannot be written.
        """
        for name, text in (("benchmark.json", self.to_json()), ("benchmark.csv", self.to_csv())):
            write_text(folder / name, text)


def read_benchmark(path: Path) -> Benchmark:
    """Read the ``benchmark.json`` that `Benchmark.write` wrote; numbers are as rounded there.

    Raises:
        InputError: the file is absent, or is something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        ceiling = record.pop("ceiling")
        return Benchmark(
            timings=tuple(Timing(**timing) for timing in record.pop("timings")),
            skipped=tuple(Skipped(**skipped) for skipped in record.pop("skipped")),
            ceiling=(ceiling["p10"], ceiling["median"], ceiling["p90"]),
            **record,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no benchmark: {error}", remedy="run facegender benchmark again") from error


def summarise(cases: Sequence[Case], first: Subject, ceiling: Mapping[int, float], threads: int) -> tuple[Timing, ...]:
    """Statistics of the cases that were timed at all.

    Args:
        first: the network that the others are compared with.
        ceiling: multiply-accumulates a second by round.
    """
    references = {_way(case): case for case in cases if case.subject is first}
    return tuple(_timing(case, references.get(_way(case)), ceiling, threads) for case in cases if case.per_image)


def _way(case: Case) -> tuple[object, ...]:
    """Everything but the network."""
    return case.runtime, case.device, case.precision, case.batch, len(case.streams)


def _timing(case: Case, reference: Case | None, ceiling: Mapping[int, float], threads: int) -> Timing:
    milliseconds = np.array(case.calls) * 1000
    p10, median, p90 = _spread(milliseconds)
    per_image = float(np.median(list(case.per_image.values())))
    ratios, shares = [], []
    for number, seconds in case.per_image.items():
        if reference is not None and number in reference.per_image:
            ratios.append(seconds / reference.per_image[number])
        if case.subject.macs is not None and case.device == "cpu":
            shares.append(case.subject.macs / seconds / ceiling[number])
    low, ratio, high = _spread(ratios) if ratios else (None, None, None)
    return Timing(
        network=case.subject.name,
        architecture=case.subject.network or "",
        parameters=case.subject.parameters,
        macs=case.subject.macs,
        input_size=case.subject.size,
        runtime=case.runtime,
        device=case.device,
        precision=case.precision,
        batch=case.batch,
        streams=len(case.streams),
        threads=threads,
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=float(np.quantile(milliseconds, 0.99)) if len(milliseconds) >= _P99_CALLS else None,
        image_ms=1000 * per_image,
        images_per_second=1 / per_image,
        ratio=ratio,
        ratio_p10=low,
        ratio_p90=high,
        ceiling_share=float(np.median(shares)) if shares else None,
        rounds=len(case.per_image),
        images=case.images,
    )


def _spread(values: Any) -> tuple[float, float, float]:
    p10, median, p90 = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    return p10, median, p90


def _rounded(timing: Timing) -> dict[str, Any]:
    return {
        name: round(value, _PLACES[name]) if name in _PLACES and value is not None else value
        for name, value in asdict(timing).items()
    }
