"""Accuracy against time and size: which network is worth its milliseconds.

    python studies/speed/pareto.py

Joins results/accuracy/flagship.csv (accuracy of the files that ship) with
results/speed/benchmark_flagship/benchmark.csv (their time at batch 1, ONNX Runtime, all cores) and the sizes of the
files; writes results/speed/pareto.csv and results/speed/pareto.png.
"""

from __future__ import annotations

from pathlib import Path

from facegender import weights
from facegender.lab.study import study_command
from facegender.plots import new_figure, plain, save_figure
from facegender.tables import read_table, write_csv

RESULTS = Path(__file__).parents[2] / "results"
TESTS = {"lfw": "LFW, zero-shot", "fairface": "FairFace"}


def main() -> None:
    scores = {
        (row["model"], row["test"]): float(row["accuracy"])
        for row in read_table(RESULTS / "accuracy" / "flagship.csv", ())
    }
    times = [
        row
        for row in read_table(RESULTS / "speed" / "benchmark_flagship" / "benchmark.csv", ())
        if row["runtime"] == "onnxruntime" and row["batch"] == "1" and row["streams"] == "1"
    ]
    lines = []
    for row in times:
        if row["network"] not in weights.list_models():
            continue
        if int(row["parameters"]) != weights.load_card(row["network"]).parameters:
            raise SystemExit(
                f"benchmark.csv has the times of another {row['network']} than the one that ships: time it again"
            )
        lines.append(
            {
                "model": row["network"],
                "architecture": row["architecture"],
                "parameters": row["parameters"],
                "megabytes": round(weights.weight_path(row["network"]).stat().st_size / 1e6, 3),
                "median_ms": row["median_ms"],
                **{f"{test}_accuracy": scores[row["network"], test] for test in TESTS},
                "command": study_command(),
                "machine": row["machine"],
            }
        )
    write_csv(RESULTS / "speed" / "pareto.csv", lines)
    figure = new_figure(7.2, 3.4)
    for axes, (test, title) in zip(figure.subplots(1, len(TESTS)), TESTS.items(), strict=True):
        for line in lines:
            x, y = float(str(line["median_ms"])), 100 * float(str(line[f"{test}_accuracy"]))
            axes.scatter(x, y, s=30 * float(str(line["megabytes"])) + 15, color="#0072B2", alpha=0.8)
            axes.annotate(
                f"{line['model']}, {line['megabytes']} MB", (x, y), (4, 6), textcoords="offset points", fontsize=7
            )
        axes.set(title=title, xlabel="one crop, ms (ONNX Runtime, batch 1)", ylabel="accuracy (%)")
        axes.margins(y=0.25)
        axes.set_xlim(0, 1.7 * max(float(str(line["median_ms"])) for line in lines))
        plain(axes, "both")
    save_figure(figure, RESULTS / "speed" / "pareto.png")


if __name__ == "__main__":
    main()
