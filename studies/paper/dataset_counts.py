"""What `facegender prepare` counted, from the stores that it wrote: results/paper/dataset_counts.csv.

    python studies/paper/dataset_counts.py STORE COMMAND [STORE COMMAND ...]

COMMAND is what made the store, as people should read it. Rows of a command that the file has already are replaced.
"""

from __future__ import annotations

from pathlib import Path

from facegender.lab.datasets.store import read_manifest
from facegender.lab.study import study_parser
from facegender.tables import update_csv

_COLUMNS = ("dataset", "row", "female", "male", "together", "command")


def main() -> None:
    parser = study_parser(__doc__, "paper/dataset_counts.csv")
    parser.add_argument("pairs", nargs="+", metavar="STORE COMMAND")
    arguments = parser.parse_args()
    if len(arguments.pairs) % 2:
        parser.error("each store needs its command")

    rows: list[dict[str, object]] = []
    for store, command in zip(arguments.pairs[::2], arguments.pairs[1::2], strict=True):
        rows += counted(Path(store), command)
    update_csv(arguments.output, rows, by="command")


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
