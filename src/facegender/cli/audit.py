"""``facegender audit``: how a network does on every group of faces, worst first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from facegender.cli.laboratory import ModelArgument, unseen
from facegender.cli.root import app, command_line, numbers, require, results_console, say
from facegender.errors import InputError
from facegender.progress import Bar
from facegender.weights.cards import DEFAULT_MAX_ERROR
from facegender.wording import counted


@app.command()
def audit(
    model: ModelArgument,
    dataset: Annotated[Path | None, typer.Option(metavar="STORE", help="A prepared store.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Your photos: columns path, label, and any others to group by."),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder or archive that the manifest's paths start from.  [default: its own]")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, validation, test, all or unseen; faces that MODEL has seen are always left out.  "
            "[default: test of a store that it knows, else all]"
        ),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Group by it; repeatable.  [default: every known one]")
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="Error rate that is accepted among the answered faces.", min=0.0)
    ] = DEFAULT_MAX_ERROR,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for audit.csv, audit.json, audit.html and figures.")
    ] = None,
) -> None:
    """Measure a network on every group of faces: gender, race, age, face size, or your own columns.

    Accuracy with 95 % intervals, rates, calibration, and how many faces are answered; the worst group first.
    """
    require("audit", "scikit-learn", "scipy", "matplotlib", "markdown-it-py")
    from facegender.lab.datasets.store import open_store
    from facegender.lab.evaluation.audit import GENDER, AuditedFaces, audit_faces, badness, write_audit
    from facegender.lab.evaluation.audit_report import cell_name, write_audit_report
    from facegender.lab.evaluation.models import open_model
    from facegender.lab.evaluation.subgroups import MOST_VALUES, ungrouped_attributes

    if (dataset is None) == (manifest is None):
        raise InputError("an audit needs --dataset STORE or --manifest CSV, one of them")
    if root is not None and manifest is None:
        raise InputError("--root is the folder of a manifest's photos", remedy="leave it out, or give --manifest")
    network = open_model(model)
    with nullcontext(dataset) if manifest is None else _prepared(manifest, root) as folder:
        assert folder is not None
        store = open_store(folder)
        # A manifest's name and the splits drawn for it say nothing of what a network has seen; its photos do.
        own = manifest is not None
        index = unseen(network, store, split or ("all" if own else None), by_name=not own).index
        for name in ungrouped_attributes(store) if by is None else ():
            say(f"note: {name} has more than {MOST_VALUES} values and is left out; --by {name} audits it")
        faces = AuditedFaces.of(store, index, network.p_male(store.crops, index), by or ())
        if network.confidence is None:
            say("note: a run that was not exported has no thresholds: every face counts as answered")
        done = audit_faces(network.name, faces, network.confidence(max_error) if network.confidence else 0.5)
    everyone, worst = done.cells[0], done.worst
    typer.echo(
        f"{done.model} on {done.dataset}: {counted(everyone.count, 'face')}, {100 * everyone.accuracy:.2f} % right "
        f"({100 * everyone.low:.2f} to {100 * everyone.high:.2f}), ECE {100 * (everyone.ece or 0):.2f} %, "
        f"{100 * everyone.coverage:.1f} % answered at {100 * done.confidence:.1f} % confidence\n"
        f"worst: {cell_name(worst)} (by {worst.columns}), {100 * worst.accuracy:.2f} % of {worst.count:,}; "
        f"no other interval ends below {100 * worst.high:.2f} %"
    )
    for column, gap in done.gaps.items():
        typer.echo(f"gap by {column}: {100 * gap['difference']:.2f} points, {gap['worst']} against {gap['best']}")
    if done.not_found:
        absent = {each.value: each.count for each in done.not_found if each.column == GENDER}
        typer.echo(f"not found, so not answered: {absent.get('female', 0)} women, {absent.get('male', 0)} men")
        most = max(done.not_found, key=lambda each: (each.count / each.all, each.all))
        typer.echo(f"most often of {most.value} (by {most.column}): {most.count:,} of {most.all:,}")
    table = Table(
        *("by", "faces of"),
        *numbers("faces", "accuracy %", "95 % interval", "answered %", "wrong of them %"),
        title="worst first, by the upper end of the interval; † children, * fewer than 30 faces",
        title_justify="left",
    )
    shown = [cell for cell in done.cells if cell.columns == GENDER or cell.columns.count(" x ") == 1]
    for cell in sorted(shown, key=badness)[:20]:
        table.add_row(
            *(cell.columns, cell_name(cell), f"{cell.count:,}", f"{100 * cell.accuracy:.2f}"),
            f"{100 * cell.low:.1f} to {100 * cell.high:.1f}",
            f"{100 * cell.coverage:.1f}",
            "-" if cell.error is None else f"{100 * cell.error:.2f}",
        )
    results_console(140).print(table)
    if output is not None:
        command = command_line()
        write_audit(output, done, {"command": command})
        page = write_audit_report(output, done, command)
        for path in (output / "audit.csv", output / "audit.json", page):
            typer.echo(path)


@contextmanager
def _prepared(manifest: Path, root: Path | None) -> Iterator[Path]:
    """A store of the manifest's faces, while it is measured. Says which photos were left out for other reasons."""
    from facegender.lab.datasets.listing import FACELESS, prepare
    from facegender.lab.datasets.manifest import list_manifest

    with tempfile.TemporaryDirectory(prefix="facegender-audit-") as folder:
        store = Path(folder, "store")
        listing = list_manifest(manifest, manifest.stem, None if root is None else str(root))
        with Bar("cropping") as bar:
            report = prepare(listing, store, on_image=lambda total: bar.step(total=total))
        for text, found in report.findings.items():
            if text != FACELESS:
                typer.echo(f"{found if isinstance(found, int) else len(found):,} {text}")
        yield store
