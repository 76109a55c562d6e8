"""One crop at a time: ONNX Runtime against PyTorch eager, interleaved in one run.

    python studies/latency.py MODEL.safetensors

MODEL.safetensors is a finished run (facegender train or crossval). Both runtimes hold the same weights and take the
same uint8 crops; each round times one block of calls with each, so that their ratio holds on a noisy machine.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import machine

from facegender.export import to_onnx
from facegender.files import atomic_file
from facegender.inference.runtime import Session
from facegender.progress import track
from facegender.training.model import load_model

CALLS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("results/latency.csv"))
    arguments = parser.parse_args()

    trained = load_model(arguments.model)
    session = Session(to_onnx(trained.classifier))
    crops = np.random.default_rng(0).integers(0, 256, (CALLS, 1, 64, 64, 3), dtype=np.uint8)
    tensors = torch.from_numpy(crops)

    def with_torch(i: int) -> None:
        with torch.inference_mode():
            trained.classifier(tensors[i])

    def with_onnx(i: int) -> None:
        session.run(crops[i])

    runtimes: dict[str, Callable[[int], None]] = {"onnxruntime": with_onnx, "torch eager": with_torch}
    times: dict[str, list[float]] = {name: [] for name in runtimes}
    for round_ in track(range(arguments.rounds + 5), "timing", arguments.rounds + 5):
        for name, call in runtimes.items():
            started = time.perf_counter()
            for i in range(CALLS):
                call(i)
            if round_ >= 5:  # the first rounds warm up
                times[name].append((time.perf_counter() - started) / CALLS * 1000)
    ratios = [t / o for t, o in zip(times["torch eager"], times["onnxruntime"], strict=True)]
    with atomic_file(arguments.output) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "runtime", "batch", "dtype", "median_ms", "p10_ms", "p90_ms", "command", "machine"])
        for name, values in times.items():
            deciles = statistics.quantiles(values, n=10)
            figures = (statistics.median(values), deciles[0], deciles[-1])
            writer.writerow(
                [
                    *(trained.recipe.network, name, 1, "fp32"),
                    *(f"{v:.4f}" for v in figures),
                    "python studies/latency.py MODEL.safetensors",
                    machine("onnxruntime", "torch"),
                ]
            )
            print(f"{name:12s} {figures[0]:.3f} ms (p10 {figures[1]:.3f}, p90 {figures[2]:.3f})")
    print(f"ratio torch eager / onnxruntime: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
