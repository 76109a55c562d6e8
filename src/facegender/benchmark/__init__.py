"""How fast the networks are on this machine, in every runtime that it has (Figure 3 of the paper)."""

from facegender.benchmark.figure import draw_figure3, save_figure3
from facegender.benchmark.results import Benchmark, Skipped, Timing, read_benchmark
from facegender.benchmark.run import BATCHES, CROPS, Interrupted, benchmark
from facegender.benchmark.runtimes import PRECISIONS, RUNTIMES
from facegender.benchmark.subjects import Subject, exported, registered, trained

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
    "draw_figure3",
    "exported",
    "read_benchmark",
    "registered",
    "save_figure3",
    "trained",
]
