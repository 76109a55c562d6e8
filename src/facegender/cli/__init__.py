"""The command line: one file a verb; each parses, calls one library function and prints. `root` lists them."""

from __future__ import annotations

import io
import os
import sys

from facegender.cli.root import app, complain
from facegender.errors import FacegenderError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line.

    Exit status: 0 done, 1 nothing could be done, 2 usage, 3 some photos could not be read, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that its encoding lacks
    sys.exit(_flushed(_run()))


def _run() -> int | str | None:
    """The exit status of the command, after what ends it was said."""
    try:
        app(prog_name="facegender")
    except SystemExit as end:
        return end.code
    except FacegenderError as error:
        complain(error.kind, str(error))
        return 1
    except OSError as error:
        complain("output", _reason(error))
        return 1
    return 0


def _flushed(status: int | str | None) -> int | str | None:
    """The exit status once all output is written: 1 where that fails, as on a full disk."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before Python started
        try:
            stream.flush()
        except OSError as error:
            if not isinstance(error, BrokenPipeError) and stream is sys.stdout and status in (0, 3):
                complain("output", _reason(error))
                status = 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python would try again when it ends
    return status


def _reason(error: OSError) -> str:
    what = "standard output" if error.filename is None else error.filename
    return f"cannot write {what}: {error.strerror or error}"
