"""NAME.errors.json beside each shipped network: its error rates by quality of the face, for `facegender survey`.

    python -m facegender.lab.export.rates FOLDER

FOLDER is what studies/survey/faces.py wrote. The rates are measured on the validation photos of the sets that the
network's card names; photos that it learned from are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from facegender import weights
from facegender.errors import InputError
from facegender.lab.datasets.provenance import Provenance, validation_sets
from facegender.survey.labels import read_labels
from facegender.survey.measuring import measure_rates
from facegender.survey.results import read_results
from facegender.tables import read_table, write_csv


def main() -> None:
    """Write the files of all shipped networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=weights.weight_path(weights.DEFAULT).parent)
    arguments = parser.parse_args()
    for name in weights.list_models():
        write_rates(name, arguments.folder, arguments.output)


def write_rates(name: str, folder: Path, output: Path) -> None:
    """Measure the error rates of one shipped network and write NAME.errors.json into a folder.

    Raises:
        DatasetError: the folder has no usable validation.csv.
        InputError: the folder has no usable NAME/validation.jsonl, or no photo that the network has not learned from.
        OutputError: a folder cannot be written.
    """
    network = weights.weight_path(name)
    card = json.loads(network.with_suffix(".json").read_text(encoding="utf-8"))
    learned, sets = Provenance.from_card(card, network).learned, validation_sets(card)
    rows = [
        row
        for row in read_table(folder / "validation.csv", ("path", "label", "face", "dataset"))
        if row["dataset"] in sets
        and not learned.has_photo(row.get("photo_digest", ""), row["dataset"], row.get("split", "validation"))
    ]
    if not rows:
        raise InputError(
            f"{name} has learned from every photo of {', '.join(sets)} in {folder}", remedy="measure it on others"
        )
    labels = folder / name / "labels.csv"
    write_csv(labels, rows)
    collection = read_results([folder / name / "validation.jsonl"])
    source = f"validation photos of {', '.join(sets)}, half of them shrunk to faces of 10 to 48 pixels"
    command = "python -m facegender.lab.export.rates FOLDER"
    rates = measure_rates(collection, read_labels([labels], collection), source=source, command=command)
    rates.save(output / f"{name}.errors.json")


if __name__ == "__main__":
    main()
