"""What each shipped classifier scores on each test set, in one table.

    python studies/accuracy/flagship.py STORES/lfw STORES/celeba STORES/utkface STORES/fairface STORES/all-age-faces

A set that a network learned from is tested on its test split, any other as a whole. Accuracy, women, men, calibration
and coverage are of the file that ships, in the precision that it ships in; `flipped` is the accuracy when the answers
to a crop and to its mirror image are averaged; `gray` and `gray_female` are accuracies on the crops without colours.
Give all stores: every row of the classifiers named by --models is replaced. Rows of other classifiers stay.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from facegender import weights
from facegender.lab import effects
from facegender.lab.datasets.store import open_stores
from facegender.lab.evaluation.metrics import is_right, measure
from facegender.lab.evaluation.models import open_model
from facegender.lab.evaluation.reliability import measure_reliability
from facegender.lab.study import study_parser
from facegender.machine import machine
from facegender.progress import track
from facegender.tables import rounded, update_csv


def main() -> None:
    parser = study_parser(__doc__, "accuracy/flagship.csv")
    parser.add_argument("stores", type=Path, nargs="+")
    parser.add_argument("--models", nargs="+", default=weights.list_models())
    arguments = parser.parse_args()
    stores = open_stores(arguments.stores)
    # Without --output, which is a path of this machine.
    words = [*map(str, arguments.stores), "--models", *arguments.models]
    extra = {"command": shlex.join(["python", "studies/accuracy/flagship.py", *words]), "machine": machine()}
    lines = []
    for word, store in track([(w, s) for w in arguments.models for s in stores.values()], "measuring"):
        network = open_model(word)
        faces = network.unseen(store)
        index = faces.index
        labels, p_male = store.labels[index], np.asarray(network.p_male(store.crops, index), np.float64)
        mirrored = network.p_male(np.ascontiguousarray(store.crops[index][:, :, ::-1]), np.arange(len(index)))
        gray = np.stack([effects.gray(crop) for crop in store.crops[index]])
        colourless = measure(labels, np.asarray(network.p_male(gray, np.arange(len(index))), np.float64))
        metrics, row = measure(labels, p_male), measure_reliability("", "", "", labels, p_male, network.confidence)
        low, high = network.predict(store, index).interval
        values = {
            "accuracy": metrics.accuracy,
            "low": low,
            "high": high,
            "female_accuracy": metrics.female_accuracy,
            "male_accuracy": metrics.tpr,
            "balanced_accuracy": metrics.balanced_accuracy,
            "auc": metrics.auc,
            "flipped": float(is_right(labels, (p_male + mirrored) / 2).mean()),
            "gray": colourless.accuracy,
            "gray_female": colourless.female_accuracy,
            "ece": row.ece,
            "brier": row.brier,
            "coverage_at_1_percent": row.coverage_1,
            "error_at_1_percent": row.error_1,
            "coverage_at_2_percent": row.coverage_2,
            "error_at_2_percent": row.error_2,
            "reachable_at_2_percent": row.reachable_2,
        }
        seen = "test split" if faces.split == "test" else "zero-shot, whole"
        lines.append(
            {"model": network.name, "test": store.name, "seen": seen, "count": metrics.count} | rounded(values) | extra
        )
    update_csv(arguments.output, lines, by="model")


if __name__ == "__main__":
    main()
