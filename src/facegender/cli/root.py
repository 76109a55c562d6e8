"""The root that every verb registers with, and the console for people."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from facegender._version import __version__
from facegender.errors import FacegenderError
from facegender.formats.records import printable

#: People read this one; records go to standard output so that they can be piped.
stderr = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """One line for people, as it is: no markup, no wrapping."""
    stderr.print(printable(message), markup=False, soft_wrap=True)


class _Verbs(TyperGroup):
    """Lists the verbs in the order in which people need them; says what an interrupted one leaves."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = (
            *("predict", "serve", "page", "label", "survey", "params", "prepare", "join", "train", "crossval"),
            *("crossdataset", "evaluate", "audit", "calibration", "errors", "leaks", "export", "benchmark"),
            *("reproduce", "train-detector"),
        )
        return sorted(super().list_commands(ctx), key=order.index)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, FacegenderError) as error:
            for note in getattr(error, "__notes__", []):
                say(note)
            if isinstance(error, KeyboardInterrupt):
                say("interrupted")
            raise  # typer ends with 130 after an interrupt


app = typer.Typer(
    name="facegender",
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Estimate how the faces in photos are likely to be *perceived*: female, male, or an honest *uncertain*.",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"facegender {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass
