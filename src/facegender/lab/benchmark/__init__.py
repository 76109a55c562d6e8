"""How fast the networks are on this machine, in every runtime that it has (Figure 3 of the paper)."""

from facegender.lab.benchmark.results import Benchmark, Timing, read_benchmark
from facegender.lab.benchmark.run import BATCHES, Interrupted, benchmark
from facegender.lab.benchmark.runtimes import PRECISIONS
from facegender.lab.benchmark.subjects import exported, registered, trained

__all__ = [
    "BATCHES",
    "PRECISIONS",
    "Benchmark",
    "Interrupted",
    "Timing",
    "benchmark",
    "exported",
    "read_benchmark",
    "registered",
    "trained",
]
