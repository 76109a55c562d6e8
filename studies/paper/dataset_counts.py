"""What `facegender prepare` counted, from the stores that it wrote: results/paper/dataset_counts.csv.

    python studies/paper/dataset_counts.py STORE COMMAND [STORE COMMAND ...]

COMMAND is what made the store, as people should read it. Rows of a command that the file has already are replaced.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from facegender.files import atomic_file
from facegender.lab.datasets.store import read_manifest

_COLUMNS = ("dataset", "row", "female", "male", "together", "command")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", metavar="STORE COMMAND")
    parser.add_argument("--output", type=Path, default=Path("results/paper/dataset_counts.csv"))
    arguments = parser.parse_args()
    if len(arguments.pairs) % 2:
        parser.error("each store needs its command")

    rows: list[dict[str, object]] = []
    commands = set(arguments.pairs[1::2])
    if arguments.output.exists():
        with arguments.output.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["command"] not in commands]
    for store, command in zip(arguments.pairs[::2], arguments.pairs[1::2], strict=True):
        rows += counted(Path(store), command)
    with atomic_file(arguments.output) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def counted(store: Path, command: str) -> list[dict[str, object]]:
    """The counts by gender, then what was mended or left out, as the command printed them."""
    report = read_manifest(store)["report"]
    rows = [(text, female, male, female + male) for text, female, male in report["counts"]]
    rows += [
        (text, "", "", found if isinstance(found, int) else len(found)) for text, found in report["findings"].items()
    ]
    rows.append(("whose face was not found", "", "", len(report["fallbacks"])))
    return [dict(zip(_COLUMNS, (report["name"], *row, command), strict=True)) for row in rows]


if __name__ == "__main__":
    main()
