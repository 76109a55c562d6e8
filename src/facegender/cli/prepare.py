"""``facegender prepare``: from a dataset as its authors ship it to a prepared store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from facegender.cli.root import app
from facegender.lab.datasets.imdb_wiki import MAX_SECOND_SCORE, MIN_FACE_SCORE

if TYPE_CHECKING:
    from facegender.lab.datasets.listing import Listing, Preparation

prepare = typer.Typer(no_args_is_help=True)
app.add_typer(prepare, name="prepare", help="Crop a dataset's faces to 64x64 and write a prepared store.")


OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder of the store.")]
NameOption = Annotated[str | None, typer.Option(help="What the dataset is called.  [default: as the folder or file]")]
NamedOutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder of the store.  [default: stores/NAME]")
]


@prepare.callback()
def _prepare() -> None:
    """Crop a dataset's faces to 64x64 and write a prepared store."""


@prepare.command("lfw")
def prepare_lfw(
    source: Annotated[Path, typer.Argument(help="Archive or folder: original, funneled or deep-funneled.")],
    output: OutputOption = Path("stores/lfw"),
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder with female_names.txt, male_names.txt, people.txt.  [default: beside SOURCE]"),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on where the lists name images that SOURCE lacks.")
    ] = False,
) -> None:
    """Labeled Faces in the Wild, with the gender labels of Afifi and Abdelhamed."""
    from facegender.lab.datasets.lfw import list_lfw

    _prepare_and_print(list_lfw(source, lists, allow_missing=allow_missing), output, "LFW")


@prepare.command("celeba")
def prepare_celeba(
    attributes: Annotated[Path, typer.Option(help="list_attr_celeba.txt, or a CSV with Male; may be .gz.")],
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SOURCE", help="Archives or folders of aligned images, whole or partial."),
    ] = None,
    partition: Annotated[
        Path | None,
        typer.Option(help="list_eval_partition.txt; not needed where the attributes have a column Partition."),
    ] = None,
    identities: Annotated[Path | None, typer.Option(help="identity_CelebA.txt, if you have it.")] = None,
    squeezed: Annotated[
        list[Path] | None,
        typer.Option(metavar="SOURCE", help="A further source, its images squeezed, say to 64x64; repeatable."),
    ] = None,
    output: OutputOption = Path("stores/celeba"),
) -> None:
    """CelebA's aligned images in the official splits; an image in several sources is taken from the first."""
    from facegender.lab.datasets.celeba import list_celeba

    listing = list_celeba(sources or [], attributes, partition, identities=identities, squeezed=squeezed or [])
    _prepare_and_print(listing, output, "CelebA")


@prepare.command("imdb-wiki")
def prepare_imdb_wiki(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE", help="Archives or folders with 00/, 01/ ...")],
    labels: Annotated[Path, typer.Option(help="imdb.mat or wiki.mat.")],
    max_second_score: Annotated[
        float, typer.Option(help="Leave out photos with a second face scored higher: the paper's filter.")
    ] = MAX_SECOND_SCORE,
    min_face_score: Annotated[
        float, typer.Option(help="Leave out photos whose face is scored lower.")
    ] = MIN_FACE_SCORE,
    crops: Annotated[
        bool, typer.Option("--crops", help="SOURCE holds the authors' face crops (imdb_crop, wiki_crop).")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the store.  [default: stores/imdb or stores/wiki]")
    ] = None,
) -> None:
    """IMDB or WIKI: photos of celebrities that show one face, in splits by person.

    Neither the set's authors nor the paper tell their thresholds; the defaults are those of most who use the set.
    """
    from facegender.lab.datasets.imdb_wiki import list_imdb_wiki

    listing = list_imdb_wiki(
        sources, labels, max_second_score=max_second_score, min_face_score=min_face_score, crops=crops
    )
    _prepare_and_print(listing, output or Path("stores") / listing.name, listing.name.upper())


@prepare.command("utkface")
def prepare_utkface(
    source: Annotated[Path, typer.Argument(help="Archive or folder of the aligned and cropped faces.")],
    output: OutputOption = Path("stores/utkface"),
) -> None:
    """UTKFace: age, gender and race from the file names; copies left out, contradicting ones altogether."""
    from facegender.lab.datasets.utkface import list_utkface

    _prepare_and_print(list_utkface(source), output)


@prepare.command("fairface")
def prepare_fairface(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE", help="Archives or folders with train/1.jpg, val/1.jpg ...")
    ],
    labels: Annotated[
        list[Path], typer.Option("--labels", help="fairface_label_train.csv, fairface_label_val.csv; may be .gz.")
    ],
    output: OutputOption = Path("stores/fairface"),
) -> None:
    """FairFace (padding 0.25), with age group and race; the authors' validation photos are the test split."""
    from facegender.lab.datasets.fairface import list_fairface

    _prepare_and_print(list_fairface(sources, labels), output)


@prepare.command("folder")
def prepare_folder(
    source: Annotated[Path, typer.Argument(help="Folder or archive with photos below female/ and male/.")],
    name: NameOption = None,
    output: NamedOutputOption = None,
) -> None:
    """Photos of your own in folders female and male, perhaps below train, validation and test."""
    from facegender.lab.datasets.folder import list_folder

    listing = list_folder(source, name or source.resolve().name.split(".")[0])
    _prepare_and_print(listing, output or Path("stores") / listing.name)


@prepare.command("manifest")
def prepare_manifest(
    source: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns path, label, perhaps identity, split, attributes.")
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder or archive that the paths start from.  [default: that of CSV]")
    ] = None,
    name: NameOption = None,
    output: NamedOutputOption = None,
) -> None:
    """Photos of your own, described by a CSV file."""
    from facegender.lab.datasets.manifest import list_manifest

    listing = list_manifest(source, name or source.resolve().name.split(".")[0], root)
    _prepare_and_print(listing, output or Path("stores") / listing.name)


def _prepare_and_print(listing: Listing, output: Path, *table2_names: str) -> None:
    """Write the store; print its counts below those of the paper's Table 2, where that has the dataset."""
    from facegender.lab.datasets.listing import prepare as run
    from facegender.progress import Bar

    with Bar("cropping") as bar:
        report = run(listing, output, on_image=lambda total: bar.step(total=total))
    _print_report(report, output, table2_names)


def _print_report(report: Preparation, output: Path, table2_names: Sequence[str]) -> None:
    from facegender.lab.datasets.listing import IN_STORE
    from facegender.lab.paper.published import table2

    done = " (already prepared)" if report.reused else ""
    table = Table(title=f"{report.name} in {output}{done}", title_justify="left")
    for column in ("", "female", "male", "together"):
        table.add_column(column, justify="left" if not column else "right")
    for printed in table2():
        if printed.dataset in table2_names:
            table.add_row("Table 2, as printed", *_counts(printed.female, printed.male))
    for text, female, male in report.counts:
        table.add_row(text, *_counts(female, male), style="bold" if text == IN_STORE else None)
    console = Console(highlight=False)
    console.print(table)
    if report.people:
        console.print(f"{report.people:,} people among the crops.")
    for text, found in report.findings.items():
        console.print(f"{found:,} {text}" if isinstance(found, int) else f"{len(found):,} {text}: {_shown(found)}")
    fallbacks = report.fallbacks
    share = f"{len(fallbacks):,} ({len(fallbacks) / (report.female + report.male):.2%})"
    which = f", cut out where it usually is or the dataset says: {_shown(fallbacks)}" if fallbacks else ""
    console.print(f"{share} whose face was not found{which}")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _counts(female: int, male: int) -> tuple[str, str, str]:
    return f"{female:,}", f"{male:,}", f"{female + male:,}"
