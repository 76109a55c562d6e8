"""NAME.groups.json beside each shipped network: the groups of people that it does worse and better on, for the page.

    python -m facegender.lab.export.groups RESULTS

RESULTS is the folder of audit_SET_NAME.csv, what `facegender audit` wrote: results/accuracy.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from facegender import weights
from facegender.lab.evaluation.audit import GENDER
from facegender.tables import read_table

#: In the order of reports.
TEST_SETS = ("lfw", "celeba", "utkface", "fairface", "all-age-faces")


def main() -> None:
    """Write the files of all shipped networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    for name in weights.list_models():
        groups_path(name).write_text(groups(name, arguments.results), encoding="utf-8")


def groups_path(name: str) -> Path:
    """Where the groups of a shipped network lie."""
    return weights.weight_path(name).with_suffix(".groups.json")


def groups(name: str, results: Path) -> str:
    """Groups of people by perceived race or age, and gender, of all test sets that were audited: JSON, one a line.

    Raises:
        DatasetError: an audit is no table with the columns needed.
    """
    kinds = (f"race x {GENDER}", f"age x {GENDER}")
    needed = ("columns", "values", "count", "accuracy", "low", "high", "children")
    found = [
        {
            "dataset": test,
            "group": row["values"],
            "count": int(row["count"]),
            "accuracy": float(row["accuracy"]),
            "low": float(row["low"]),
            "high": float(row["high"]),
            "children": bool(row["children"]),
        }
        for test in TEST_SETS
        if (path := results / f"audit_{test}_{name}.csv").exists()
        for row in read_table(path, needed)
        if row["columns"] in kinds
    ]
    return "[\n" + ",\n".join(json.dumps(each) for each in found) + "\n]\n"


if __name__ == "__main__":
    main()
