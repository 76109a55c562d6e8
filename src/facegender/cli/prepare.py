"""``facegender prepare``: from a dataset as its authors ship it to a prepared store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from facegender.cli.root import app

prepare = typer.Typer(no_args_is_help=True)
app.add_typer(prepare, name="prepare", help="Crop a dataset's faces to 64x64 and write a prepared store.")


@prepare.callback()
def _prepare() -> None:
    """Crop a dataset's faces to 64x64 and write a prepared store."""


@prepare.command("lfw")
def prepare_lfw(
    source: Annotated[Path, typer.Argument(help="Tar archive or folder: original, funneled or deep-funneled.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the store.")] = Path("stores/lfw"),
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder with female_names.txt, male_names.txt, people.txt.  [default: beside SOURCE]"),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on where the lists name images that SOURCE lacks.")
    ] = False,
) -> None:
    """Labeled Faces in the Wild, with the gender labels of Afifi and Abdelhamed."""
    from facegender.datasets.lfw import prepare_lfw as run
    from facegender.paper.published import table2
    from facegender.progress import Bar

    with Bar("cropping") as bar:
        report = run(
            source,
            output,
            lists,
            allow_missing=allow_missing,
            on_image=lambda total: bar.step(total=total),
        )
    printed = next(row for row in table2() if row.dataset == "LFW")
    table = Table(title=f"LFW in {output}" + (" (already prepared)" if report.reused else ""), title_justify="left")
    for column in ("", "female", "male", "together"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("Table 2, as printed", *_counts(printed.female, printed.male))
    table.add_row("lines in the label lists", *_counts(*report.lines))
    table.add_row("crops in the store", *_counts(report.female, report.male), style="bold")
    console = Console()
    console.print(table)
    console.print(f"{report.images:,} images in the source, {report.people:,} people among the crops.")
    for text, names in (
        ("in both lists, counted once, as female", report.in_both),
        ("in neither list, left out", report.unlabelled),
        ("listed without .jpg, mended", report.mended),
        ("listed but absent", report.absent),
    ):
        if names:
            console.print(f"{len(names)} {text}: {_shown(names)}", highlight=False)
    fallbacks = report.fallbacks
    share = f"{len(fallbacks)} ({len(fallbacks) / (report.female + report.male):.2%})"
    which = f": {_shown(fallbacks)}" if fallbacks else ""
    console.print(
        f"{share} without a face found in the middle, cut out where faces usually are{which}", highlight=False
    )


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _counts(female: int, male: int) -> tuple[str, str, str]:
    return f"{female:,}", f"{male:,}", f"{female + male:,}"
