"""``facegender prepare``: from a dataset as its authors ship it to a prepared store."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from facegender.cli.root import app, numbers
from facegender.progress import Bar

if TYPE_CHECKING:
    from facegender.lab.datasets.listing import Listing
    from facegender.lab.datasets.registry import Dataset

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder of the store.  [default: stores/NAME]")
]


class _Datasets(TyperGroup):
    """One subcommand for each registered dataset."""

    def list_commands(self, ctx: Any) -> list[str]:
        from facegender.lab.datasets.registry import datasets

        return list(datasets())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from facegender.lab.datasets.registry import datasets

        known = datasets().get(cmd_name)
        if known is None:
            return None
        own = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        own.command(known.name, help=known.help)(_subcommand(known))
        return typer.main.get_command(own)


prepare = typer.Typer(no_args_is_help=True, cls=_Datasets)
app.add_typer(prepare, name="prepare", help="Crop a dataset's faces to 64x64 and write a prepared store.")


@prepare.callback()
def _prepare() -> None:
    """Crop a dataset's faces to 64x64 and write a prepared store."""


def _subcommand(known: Dataset) -> Callable[..., None]:
    """A function with the parameters of the dataset's own, and the folder of the store."""

    def run(*, output: Path | None, **given: Any) -> None:
        _prepare_and_print(known.list(**given), output, in_paper=known.in_paper)

    signature = inspect.signature(known.list, eval_str=True)
    extra = inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=OutputOption)
    parameters = [*signature.parameters.values(), extra]
    run.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _prepare_and_print(listing: Listing, output: Path | None, *, in_paper: bool) -> None:
    """Write the store; print its counts below those of the paper's Table 2, where that has the dataset."""
    from facegender.lab.datasets.listing import FACELESS, IN_STORE
    from facegender.lab.datasets.listing import prepare as run
    from facegender.lab.paper.published import table2

    output = output or Path("stores") / listing.name
    with Bar("cropping") as bar:
        report = run(listing, output, on_image=lambda total: bar.step(total=total))
    table = Table("", *numbers("female", "male", "together"))
    for printed in table2():
        if in_paper and printed.dataset.casefold() == report.name.casefold():
            table.add_row("Table 2, as printed", *_counts(printed.female, printed.male))
    for text, female, male in report.counts:
        table.add_row(text, *_counts(female, male), style="bold" if text == IN_STORE else None)
    typer.echo(f"{report.name} in {output}{' (already prepared)' if report.reused else ''}")
    Console(highlight=False).print(table)
    if report.people:
        typer.echo(f"{report.people:,} people among the crops.")
    for text, found in report.findings.items():
        typer.echo(f"{found:,} {text}" if isinstance(found, int) else f"{len(found):,} {text}: {_shown(found)}")
    fallbacks = report.fallbacks
    if not fallbacks and FACELESS in report.findings:
        return
    share = f"{len(fallbacks):,} ({len(fallbacks) / (report.female + report.male):.2%})"
    which = f", cut out where it usually is or the dataset says: {_shown(fallbacks)}" if fallbacks else ""
    typer.echo(f"{share} whose face was not found{which}")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _counts(female: int, male: int) -> tuple[str, str, str]:
    return f"{female:,}", f"{male:,}", f"{female + male:,}"
