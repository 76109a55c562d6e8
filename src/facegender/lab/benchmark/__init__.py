"""How fast the networks are on this machine, in every runtime that it has (Figure 3 of the paper)."""

from facegender.lab.benchmark.results import Benchmark, Skipped, Timing, read_benchmark
from facegender.lab.benchmark.run import BATCHES, CROPS, Interrupted, benchmark
from facegender.lab.benchmark.runtimes import PRECISIONS, RUNTIMES
from facegender.lab.benchmark.subjects import Subject, exported, registered, trained

__all__ = [
    "BATCHES",
    "CROPS",
    "PRECISIONS",
    "RUNTIMES",
    "Benchmark",
    "Interrupted",
    "Skipped",
    "Subject",
    "Timing",
    "benchmark",
    "exported",
    "read_benchmark",
    "registered",
    "trained",
]
