"""The root that every verb registers with when it is imported, and the console for people."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column
from typer.core import TyperCommand, TyperGroup

from facegender._version import __version__
from facegender.errors import FacegenderError, InputError, MissingExtraError
from facegender.formats.records import printable, visible

#: People read this one; records go to standard output so that they can be piped.
stderr = Console(stderr=True, highlight=False)


def results_console(piped: int) -> Console:
    """Standard output for tables: as wide as the terminal; in a pipe `piped` columns, so that every row is one line."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else piped)


def numbers(*headings: str, no_wrap: bool = False) -> list[Column]:
    """Columns of a table whose cells are aligned to the right."""
    return [Column(heading, justify="right", no_wrap=no_wrap) for heading in headings]


def say(message: str) -> None:
    """One line for people, as it is: no markup, no wrapping. A full disk behind standard error ends nothing."""
    with suppress(OSError):
        stderr.print(visible(message), markup=False, soft_wrap=True)


def complain(kind: str, message: str) -> None:
    """Say what ends the command; lines of the message stay lines."""
    with suppress(OSError):
        stderr.print(f"[bold red]error[/] ({kind}): ", end="")
        stderr.print("\n".join(map(visible, message.split("\n"))), markup=False, soft_wrap=True)


@contextmanager
def before_writing() -> Iterator[None]:
    """Around what comes before anything is written: an interrupt is noted to leave nothing."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note("Nothing was written")
        raise


#: What typer says of a value, and the same in plain words.
_PLAIN = (
    (r"^Value error, ", ""),
    (r"Input should be greater than or equal to (\S+)", r"it must be at least \1"),
    (r"Input should be less than or equal to (\S+)", r"it must be at most \1"),
    (r"Input should be a valid integer.*", "it must be a whole number"),
    (r"Input should be a valid number.*", "it must be a number"),
)


def _in_plain_words(message: str) -> str:
    for pattern, words in _PLAIN:
        message = re.sub(pattern, words, message)
    return message


def command_line() -> str:
    """The command as it was given, to be noted beside results."""
    return printable(shlex.join(["facegender", *sys.argv[1:]]))


def given(ctx: typer.Context, *names: str) -> list[str]:
    """Those of some parameters that were given, as options."""
    options = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
    sources = {name: ctx.get_parameter_source(name) for name in names}
    return [options[name] for name, source in sources.items() if source is not None and source.name != "DEFAULT"]


def check_exclusive(ctx: typer.Context, *names: str) -> None:
    """Refuse options that were both given."""
    if len(both := given(ctx, *names)) > 1:
        raise typer.BadParameter(f"{' and '.join(both)} exclude each other (give one)")


#: More processes than this are a slip of the hand.
_MOST_WORKERS = 1024


def worker_count(workers: str) -> int | None:
    """The value of ``--workers``; None for ``auto``."""
    if workers == "auto":
        return None
    if workers.isdecimal() and 1 <= int(workers) <= _MOST_WORKERS:
        return int(workers)
    raise typer.BadParameter(
        f"{workers!r} is neither a number from 1 to {_MOST_WORKERS} nor auto", param_hint="--workers"
    )


@contextmanager
def usage() -> Iterator[None]:
    """Around what takes arguments alone: what it refuses is wrong usage."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


#: Modules of other names than their packages'.
_MODULES = {"markdown-it-py": "markdown_it", "scikit-learn": "sklearn"}


def require(extra: str, *packages: str) -> None:
    """Check that packages, by the names under which they are installed, are there before a verb imports them.

    Raises:
        MissingExtraError: one is not there.
    """
    for package in packages:
        if find_spec(_MODULES.get(package, package.replace("-", "_"))) is None:
            raise MissingExtraError(package, extra)


#: The verbs in the order in which people need them. The line is the first paragraph of the verb's help: a list of all
#: imports none of them.
VERBS = {
    "predict": "Find the faces in photos and estimate how each is likely to be *perceived*.",
    "serve": "Serve the page, and the service for programs, until a signal ends it.",
    "page": "Write the page that finds and classifies faces in the browser, for any web server.",
    "label": "Label faces by eye on a local page, without seeing the answers, so that a survey knows how the "
    "classifier errs.",
    "survey": "Estimate how often women and men appear, corrected for the classifier's own errors, with intervals.",
    "params": "Count parameters, layer by layer.",
    "prepare": "Crop a dataset's faces to 64x64 and write a prepared store.",
    "join": "Join the train and validation crops of several stores, without copies and people that are also in a test "
    "set.",
    "train": "Train one network. An interrupted run is resumed after its last whole epoch.",
    "crossval": "Train on all folds but one and test on that one, for each; mean and standard deviation over the "
    "folds.",
    "crossdataset": "Train on the train split of each store, test on the test split of every store.",
    "evaluate": "Measure a network: accuracy with its 95 % interval, by gender and by one attribute more.",
    "audit": "Measure a network on every group of faces: gender, race, age, face size, or your own columns.",
    "calibration": "Measure calibration error, and how many faces are answered at which error: by set, by group, on "
    "damaged faces.",
    "errors": "Draw the misclassified faces, the most confident mistakes first, women above and men below.",
    "leaks": "Look for the same photo or the same person in two splits of a dataset, or in two datasets.",
    "export": "Write a run's network with normalisation and calibration inside, and a card of what was measured on it.",
    "benchmark": "Time networks at batch 1 and at the best batch, in every runtime and precision that this machine "
    "has.",
    "reproduce": "Run the paper's experiments and write report.html and report.md, published beside measured.",
    "train-detector": "Train the face detector on what a teacher sees in your photos, and export it with its card.",
}


class _Verbs(TyperGroup):
    """Imports a verb when it is named; says what an interrupted one leaves."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=line) for name, line in VERBS.items()} | dict(self.commands)
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in VERBS and not self._listing:
            with before_writing():
                import_module(f"facegender.cli.{cmd_name.replace('-', '_')}")
            return typer.main.get_group(app).commands[cmd_name]
        return super().get_command(ctx, cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        super().format_help(ctx, formatter)
        self._listing = False

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, FacegenderError) as error:
            for note in getattr(error, "__notes__", []):
                say(note)
            if isinstance(error, KeyboardInterrupt):
                say("interrupted")
            raise  # typer ends with 130 after an interrupt
        except typer.BadParameter as error:
            error.message = _in_plain_words(error.message)
            raise


app = typer.Typer(
    name="facegender",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Estimate how the faces in photos are likely to be *perceived*: female, male, or *uncertain*.",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"facegender {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
