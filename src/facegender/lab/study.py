"""What studies share: their arguments, and what they write beside their numbers."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facegender.machine import machine
from facegender.tables import write_csv


def study_parser(about: str | None, output: str) -> argparse.ArgumentParser:
    """For a script whose docstring is its help; `output` is the file below results/ that --output replaces."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results", output))
    return parser


def write_results(
    path: Path, records: Iterable[Mapping[str, Any]], *packages: str, columns: Sequence[str] = (), **more: object
) -> None:
    """Write records as CSV, each with `more`, the command, and the machine with the versions of some packages.

    Args:
        columns: of the records; none: those of the first.

    Raises:
        OutputError: the folder cannot be written.
    """
    extra = {**more, "command": study_command(), "machine": machine(*packages)}
    write_csv(path, [{**record, **extra} for record in records], [*columns, *extra] if columns else ())


def study_command() -> str:
    """The script that runs with its arguments, without ``--output``; of paths the last part, as the rest is local."""
    words = ["python", "/".join(Path(sys.argv[0]).absolute().parts[-3:])]
    arguments = iter(sys.argv[1:])
    for word in arguments:
        if word == "--output":
            next(arguments, None)
        elif not word.startswith("--output="):
            words.append(Path(word).name if os.sep in word else word)
    return shlex.join(words)
