"""Gather finished cross-validations into results/paper/: one line a study, and one a fold.

python studies/paper/collect_crossval.py runs/paper-random runs/tuned-identity ...

Lines of other studies, named after their folders, stay as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

from facegender.errors import RecipeError
from facegender.lab.study import study_parser
from facegender.lab.training.recipe import load_recipe
from facegender.machine import machine
from facegender.tables import read_table, update_csv

MEASURES = ("accuracy", "tpr", "fpr", "precision", "female_accuracy", "balanced_accuracy", "auc")


def main() -> None:
    parser = study_parser(__doc__, "paper")
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()

    studies, folds = [], []
    for run in arguments.runs:
        summary = json.loads((run / "summary.json").read_text())
        recipe = summary["recipe"]
        study = {
            "study": run.name,
            "recipe": recipe["name"],
            "network": recipe["network"],
            "colour": recipe["colour"],
            "epochs": recipe["epochs"],
            "fold_assignment": summary["assignment"],
            "folds": summary["folds"],
            "mirror": summary.get("mirror", False),
        }
        try:
            usual = load_recipe(recipe["name"]).to_dict()
        except RecipeError:  # a file of the user's
            usual = recipe
        flat, flat_usual = (
            {**kept, **{f"augmentation.{key}": value for key, value in kept["augmentation"].items()}}
            for kept in (recipe, usual)
        )
        changed = "".join(
            f" --set {key}={json.dumps(value)}"
            for key, value in flat.items()
            if key != "augmentation" and value != flat_usual.get(key)
        )
        changed += " --mirror" if study["mirror"] else ""
        command = f"facegender crossval STORE --recipe {recipe['name']} --folds {summary['assignment']}{changed}"
        low, high = summary["accuracy_wilson_95"]
        studies.append(
            study
            | {f"{m}_{kind}": summary[kind][m] for m in MEASURES for kind in ("mean", "std")}
            | {"accuracy_wilson_low": low, "accuracy_wilson_high": high}
            | {"command": f"{command} --output RUN", "machine": machine("torch")}
        )
        folds += [{"study": run.name, **row} for row in read_table(run / "folds.csv", [])]
    for name, rows in (("lfw_crossval.csv", studies), ("lfw_folds.csv", folds)):
        update_csv(arguments.output / name, rows, by="study")
    for row in studies:
        print(
            f"{row['study']:20s} accuracy {100 * row['accuracy_mean']:.2f} +- {100 * row['accuracy_std']:.2f}, "
            f"balanced {100 * row['balanced_accuracy_mean']:.2f}"
        )


if __name__ == "__main__":
    main()
