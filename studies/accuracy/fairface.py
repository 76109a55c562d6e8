"""How the shipped network does far from LFW: FairFace validation photos, by race and gender, through the detector.

    python studies/accuracy/fairface.py VAL.tar fairface_label_val.csv

FairFace (K. Karkkainen, J. Joo, WACV 2021) is balanced over seven race groups. The network has learned from its train
photos, not from these. Every photo holds one labelled face in its middle; a photo in which the detector finds none
there counts as not found and not as right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from facegender import FaceAnalyzer
from facegender.faces.decode import decode
from facegender.lab.datasets.cropping import middle_face
from facegender.lab.datasets.images import base_name, paths_by_name, read_images
from facegender.lab.evaluation.metrics import wilson_interval
from facegender.lab.study import study_parser, write_results
from facegender.progress import track
from facegender.tables import read_table


def main() -> None:
    parser = study_parser(__doc__, "accuracy/fairface.csv")
    parser.add_argument("source", type=Path)
    parser.add_argument("labels", type=Path)
    arguments = parser.parse_args()

    labels = {base_name(row["file"]): row for row in read_table(arguments.labels, ("file", "race", "gender"))}
    analyzer = FaceAnalyzer()
    names = [name for name in sorted(paths_by_name(arguments.source)) if name in labels]
    rows = []
    for name, data in track(read_images(arguments.source, names), "measuring", total=len(names)):
        result, gender = analyzer.analyze(decode(data)), labels[name]["gender"].lower()
        answers = {found.face: found.prediction for found in result.faces}
        middle = middle_face(result.width or 0, result.height or 0, list(answers))
        row = {"race": labels[name]["race"], "gender": gender, "found": middle is not None}
        if middle is not None:
            answer = answers[middle]
            row |= {"right": (answer.p_male >= 0.5) == (gender == "male"), "answered": answer.label != "uncertain"}
            row |= {"wrong": answer.label not in ("uncertain", gender)}
        rows.append(row)
    records = [group | {"model": analyzer.classifier.card.name} for group in groups(pd.DataFrame(rows))]
    for record in records:
        print(*list(record.values())[:5])
    write_results(arguments.output, records, "onnxruntime")


def groups(faces: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Each cell, then each gender over all races, then all."""
    for (race, gender), some in faces.groupby(["race", "gender"]):
        yield measured(race, gender, some)
    for gender, some in faces.groupby("gender"):
        yield measured("all", gender, some)
    yield measured("all", "all", faces)


def measured(race: str, gender: str, faces: pd.DataFrame) -> dict[str, object]:
    found = faces[faces["found"]]
    low, high = wilson_interval(int(found["right"].sum()), len(found))
    figures = {
        "found": len(found) / len(faces),
        "accuracy": found["right"].sum() / len(found),
        "wilson_low": low,
        "wilson_high": high,
        "coverage": found["answered"].sum() / len(found),
        "error_among_answered": found["wrong"].sum() / found["answered"].sum(),
    }
    shown = {name: f"{value:.4f}" for name, value in figures.items()}
    return {"race": race, "gender": gender, "photos": len(faces)} | shown


if __name__ == "__main__":
    main()
