"""``facegender page``: the page as files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from facegender.cli.root import app, say
from facegender.wording import counted


@app.command()
def page(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="A new or an empty folder, or one with an earlier page, which is replaced.",
        ),
    ],
) -> None:
    """Write the page that finds and classifies faces in the browser, for any web server.

    Photos never leave the browser: the page and the networks are static files.
    """
    from facegender.page import write_page

    count = write_page(output)
    serve = shlex.join(["python", "-m", "http.server", "-d", str(output)])
    say(f"{counted(count, 'file')} in {output}; serve them, for example with: {serve}")
