"""NAME.errors.json beside each shipped network: its error rates by quality of the face, for `facegender survey`.

    python -m facegender.lab.export.rates PHOTOS SETS

PHOTOS is what studies/survey/faces.py wrote. The rates are measured on the validation photos of the sets that the
network's card names; photos that it learned from are left out. SETS is what studies/survey/sets_faces.py wrote: the
counts of its five sets, in all versions, say how rates differ from one collection to the next.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from facegender import weights
from facegender.errors import InputError
from facegender.lab.datasets.provenance import Provenance, validation_sets
from facegender.survey.effects import SetCounts
from facegender.survey.labels import read_labels
from facegender.survey.measuring import measure_rates
from facegender.survey.rates import ErrorRates
from facegender.survey.results import read_results
from facegender.tables import read_table, write_csv
from facegender.wording import display_name


def main() -> None:
    """Write the files of all shipped networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--output", type=Path, default=weights.weight_path(weights.DEFAULT).parent)
    arguments = parser.parse_args()
    for name in weights.list_models():
        write_rates(name, arguments.photos, arguments.sets, arguments.output)


def write_rates(name: str, photos: Path, sets: Path, output: Path) -> None:
    """Measure the error rates of one shipped network and write NAME.errors.json into a folder.

    Raises:
        DatasetError: `photos` has no usable validation.csv.
        InputError: `photos` has no usable NAME/validation.jsonl, or no photo that the network has not learned from;
            `sets` has no faces that the network answered.
        OutputError: a folder cannot be written.
    """
    rates, faces = measured(name, photos), read_sets(sets)
    asked = faces[faces["model"] == name]
    if asked["p_male"].isna().all():
        raise InputError(f"{sets} has no faces that {name} answered", remedy="run studies/survey/sets_faces.py")
    replace(rates, sets=counted(asked, rates)).save(output / f"{name}.errors.json")


def measured(name: str, photos: Path) -> ErrorRates:
    """The error rates of one shipped network on the validation photos that it has not learned from."""
    network = weights.weight_path(name)
    card = json.loads(network.with_suffix(".json").read_text(encoding="utf-8"))
    learned, sets = Provenance.from_card(card, network).learned, validation_sets(card)
    rows = [
        row
        for row in read_table(photos / "validation.csv", ("path", "label", "face", "dataset"))
        if row["dataset"] in sets
        and not learned.has_photo(row.get("photo_digest", ""), row["dataset"], row.get("split", "validation"))
    ]
    if not rows:
        raise InputError(
            f"{name} has learned from every photo of {', '.join(sets)} in {photos}", remedy="measure it on others"
        )
    labels = photos / name / "labels.csv"
    write_csv(labels, rows)
    collection = read_results([photos / name / "validation.jsonl"])
    names = ", ".join(map(display_name, sets))
    source = f"validation photos of {names}, half of them shrunk to faces of 10 to 48 pixels"
    command = "python -m facegender.lab.export.rates PHOTOS SETS"
    return measure_rates(collection, read_labels([labels], collection), source=source, command=command)


def read_sets(folder: Path) -> pd.DataFrame:
    """The labelled faces of all sets: columns set, version, model, truth, quality, p_male, label.

    A face that was not found has no p_male.

    Raises:
        InputError: there is no CSV file in the folder.
    """
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise InputError(f"{folder} holds no CSV file", remedy="run studies/survey/sets_faces.py")
    tables = [pd.read_csv(path).assign(set=path.stem) for path in paths]
    return pd.concat(tables, ignore_index=True)


def counted(faces: pd.DataFrame, bins: ErrorRates) -> tuple[SetCounts, ...]:
    """The faces of each set and version in the bins of some error rates; those without p_male were not found."""
    shape, counts = bins.female.shape, []
    for (name, version), asked in faces.groupby(["set", "version"]):
        absent = asked["p_male"].isna()
        some = asked[~absent]
        missed = int((absent & (asked["truth"] == 0)).sum()), int((absent & (asked["truth"] == 1)).sum())
        cells = bins.cells(some["quality"].to_numpy(), some["p_male"].to_numpy())
        women, men = (
            np.bincount(cells[some["truth"] == label], minlength=bins.female.size).reshape(shape) for label in (0, 1)
        )
        counts.append(SetCounts(str(name), str(version), women, men, missed))
    return tuple(counts)


if __name__ == "__main__":
    main()
