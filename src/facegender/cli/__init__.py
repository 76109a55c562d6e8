"""The command line: one file a verb; each parses, calls one library function and prints. `root` lists them."""

from __future__ import annotations

import sys

from facegender.cli.root import app, stderr
from facegender.errors import FacegenderError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line.

    Exit status: 0 done, 1 nothing could be done, 2 usage, 3 some photos could not be read, 130 interrupted.
    """
    try:
        app(prog_name="facegender")
    except FacegenderError as error:
        stderr.print(f"[bold red]error[/] ({error.kind}): ", end="")
        stderr.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)
