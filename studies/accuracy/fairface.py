"""How the shipped network does far from LFW: FairFace validation photos, by race and gender, through the detector.

    python studies/accuracy/fairface.py VAL.tar fairface_label_val.csv

FairFace (K. Karkkainen, J. Joo, WACV 2021) is balanced over seven race groups. The network has learned from its train
photos, not from these. Every photo holds one labelled face in its middle; a photo in which the detector finds none
there counts as not found and not as right or wrong.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from facegender import FaceAnalyzer
from facegender.faces.decode import decode
from facegender.faces.types import PhotoResult, Prediction
from facegender.lab.datasets.cropping import middle_face
from facegender.lab.datasets.images import image_names, read_images
from facegender.lab.evaluation.metrics import wilson_interval
from facegender.lab.study import study_command
from facegender.machine import machine
from facegender.progress import track
from facegender.tables import write_csv

_COLUMNS = (
    *("race", "gender", "photos", "found", "accuracy", "wilson_low", "wilson_high", "coverage"),
    *("error_among_answered", "model", "command", "machine"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--output", type=Path, default=Path("results/accuracy/fairface.csv"))
    arguments = parser.parse_args()

    with arguments.labels.open(newline="") as file:
        labels = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    analyzer = FaceAnalyzer()
    groups: dict[tuple[str, str], list[Prediction | None]] = defaultdict(list)
    names = [name for name in image_names(arguments.source) if name in labels]
    for name, data in track(read_images(arguments.source, names), "measuring", total=len(names)):
        row = labels[name]
        groups[row["race"], row["gender"].lower()].append(_central(analyzer.analyze(decode(data))))

    command, where = study_command(), machine("onnxruntime")
    records = []
    for race, gender, answers in _with_totals(groups):
        found = [(gender_, answer) for gender_, answer in answers if answer is not None]
        right = sum((answer.p_male >= 0.5) == (gender_ == "male") for gender_, answer in found)
        answered = [(gender_, answer) for gender_, answer in found if answer.label != "uncertain"]
        wrong = sum(answer.label != gender_ for gender_, answer in answered)
        figures = [
            len(found) / len(answers),
            right / len(found),
            *wilson_interval(right, len(found)),
            len(answered) / len(found),
            wrong / len(answered),
        ]
        cells = [race, gender, len(answers), *(f"{value:.4f}" for value in figures), analyzer.classifier.card.name]
        records.append(dict(zip(_COLUMNS, [*cells, command, where], strict=True)))
        print(f"{race:16s} {gender:7s} {len(answers):5d} found {figures[0]:.3f} accuracy {figures[1]:.3f}")
    write_csv(arguments.output, records)


def _central(result: PhotoResult) -> Prediction | None:
    """The answer to the face in the middle of the photo."""
    answers = {id(found.face): found.prediction for found in result.faces}
    face = middle_face(result.width or 0, result.height or 0, [found.face for found in result.faces])
    return None if face is None else answers[id(face)]


def _with_totals(
    groups: dict[tuple[str, str], list[Prediction | None]],
) -> Iterator[tuple[str, str, list[tuple[str, Prediction | None]]]]:
    """Each cell, then each gender over all races, then all; answers with the gender they should have."""
    for (race, gender), answers in sorted(groups.items()):
        yield race, gender, [(gender, answer) for answer in answers]
    everyone = [(gender, answer) for (_, gender), answers in groups.items() for answer in answers]
    for gender in ("female", "male"):
        yield "all", gender, [pair for pair in everyone if pair[0] == gender]
    yield "all", "all", everyone


if __name__ == "__main__":
    main()
