"""The command line: one file a verb; each parses, calls one library function and prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from facegender.errors import FacegenderError

app = typer.Typer(
    name="facegender",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Estimate how the faces in photos are likely to be *perceived*: female, male, or an honest *uncertain*.",
)

#: People read this one; records go to standard output so that they can be piped.
stderr = Console(stderr=True, highlight=False)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"facegender {version('facegender')}")
        raise typer.Exit


@app.callback()
def _options(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 nothing could be done, 2 usage, 3 some photos failed, 130 interrupted."""
    from facegender.cli import crossval, params, predict, prepare, train  # noqa: F401  (each registers its verb)

    try:
        app()
    except FacegenderError as error:
        stderr.print(f"[bold red]error[/] ({error.kind}): ", end="")
        stderr.print(str(error), markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(130)
