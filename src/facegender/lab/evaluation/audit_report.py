"""An audit for people: Markdown and one HTML file, with the accuracy of every group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from facegender.lab.evaluation.audit import GENDER, Audit, AuditGroup, badness
from facegender.lab.evaluation.subgroups import EVERYONE
from facegender.plots import new_figure, plain, save_figure
from facegender.report import Section, picture, table, write_report
from facegender.wording import counted

#: Colour-blind safe (Okabe and Ito), as elsewhere.
_COLOURS = {"female": "#d55e00", "male": "#0072b2"}
_MARKERS = {"female": "o", "male": "s"}
#: A table of more cells is left to the CSV.
_MOST_ROWS = 40


def write_audit_report(folder: Path, audit: Audit, command: str) -> Path:
    """Write ``audit.md``, ``audit.html`` and the figures, a PNG a column.

    Returns:
        the HTML file.

    Raises:
        OutputError: the folder cannot be written.
    """
    sections = [
        Section("Worst first", _worst(audit)),
        Section("Everyone, and by gender", [_table([*audit.by(EVERYONE), *audit.by(GENDER)])]),
    ]
    for columns in audit.groupings:
        if columns.endswith(f" x {GENDER}") and columns.count(" x ") == 1:
            column = columns.removesuffix(f" x {GENDER}")
            name = f"audit_{column}.png"
            draw_groups(folder / name, audit.by(columns), f"{audit.model} on {audit.dataset}, by {column}")
            blocks = [picture(name, f"Accuracy by {column} and gender, with 95 % intervals"), _table(audit.by(columns))]
            sections.append(Section(f"By {column}", blocks))
    crossed = audit.by(audit.groupings[-1])
    if audit.groupings[-1].count(" x ") > 1:
        listed = sorted((cell for cell in crossed if not cell.few), key=badness)[:_MOST_ROWS]
        few = [cell for cell in crossed if cell.few]
        in_few = counted(sum(cell.count for cell in few), "face")
        text = (
            f"{len(crossed)} cells have faces; {len(few)} of them, with {in_few}, "
            f"have fewer than 30 and say little one by one. Here are the {len(listed)} worst of the others; all are in "
            "audit.csv."
        )
        sections.append(Section(f"By {audit.groupings[-1]}", [text, _table(listed)]))
    introduction = [
        f"{audit.cells[0].count:,} faces. A face counts as answered where the network is at least "
        f"{100 * audit.confidence:.1f} % sure. *Male* is the positive class: TPR is the share of men called male, FPR "
        "that of women called male. Labels are how annotators perceived the faces, not who the people are. "
        "Cells of children are marked with a dagger (†), cells of fewer than 30 faces with an asterisk (*).",
        f"Again with `{command}`.",
    ]
    return write_report(folder, "audit", f"Audit: {audit.model} on {audit.dataset}", introduction, sections)


def cell_name(cell: AuditGroup) -> str:
    """The values of a cell, marked where they are children's or few."""
    return f"{cell.values}{'†' if cell.children else ''}{'*' if cell.few else ''}"


def draw_groups(path: Path, cells: Sequence[AuditGroup], title: str) -> None:
    """Accuracy of each value of a column for women and men: points with their 95 % intervals.

    Raises:
        OutputError: the folder cannot be written.
    """
    names = {cell.values.rsplit(" x ", 1)[0]: cell for cell in cells}
    values = list(names)
    figure = new_figure(7.0, 1.3 + 0.34 * len(values))
    axes = figure.subplots()
    for gender, colour in _COLOURS.items():
        shown = [cell for cell in cells if cell.values.endswith(f" x {gender}")]
        shift = -0.14 if gender == "female" else 0.14
        places = [values.index(cell.values.removesuffix(f" x {gender}")) + shift for cell in shown]
        percent = [100 * cell.accuracy for cell in shown]
        spread = [[100 * (c.accuracy - c.low) for c in shown], [100 * (c.high - c.accuracy) for c in shown]]
        axes.errorbar(
            percent, places, xerr=spread, fmt=_MARKERS[gender], color=colour, markersize=5, linewidth=1.2, label=gender
        )
    labels = [f"{value}{'†' if names[value].children else ''}" for value in values]
    axes.set(yticks=range(len(values)), yticklabels=labels, xlabel="accuracy (%), 95 % interval", title=title)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlim(right=100.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    plain(axes)
    save_figure(figure, path)


def _worst(audit: Audit) -> list[str]:
    worst = audit.worst
    which = "No group has 30 faces; the worst cell" if worst.few else "The worst cell of at least 30 faces"
    blocks = [
        "Cells are ranked by the upper end of their 95 % interval: of many cells, the one of lowest accuracy is often "
        "a small one with bad luck.",
        f"{which} is **{cell_name(worst)}** (by {worst.columns}): "
        f"{_percent(worst.accuracy)} % right ({_percent(worst.low)} to {_percent(worst.high)}) of {worst.count:,}.",
    ]
    if audit.gaps:
        rows = [
            (column, f"{100 * gap['difference']:.1f}", f"{gap['ratio']:.3f}", gap["worst"], gap["best"])
            for column, gap in sorted(audit.gaps.items(), key=lambda item: -item[1]["difference"])
        ]
        blocks.append(table(("column", "largest gap, points", "ratio", "worst", "best"), rows))
    if audit.not_found:
        blocks.append("The detector did not find these faces, so they are not answered and in no other number:")
        rows = [
            (each.column, each.value, f"{each.all:,}", f"{each.count:,}", _percent(each.count / each.all))
            for each in audit.not_found
        ]
        blocks.append(table(("column", "group", "faces", "not found", "%"), rows))
    return blocks


def _table(cells: Sequence[AuditGroup]) -> str:
    header = (
        "",
        "faces",
        "accuracy %",
        "95 % interval",
        "TPR %",
        "FPR %",
        "ECE %",
        "Brier",
        "answered %",
        "wrong of them %",
    )
    return table(
        header,
        [
            (
                *(cell_name(cell), f"{cell.count:,}", _percent(cell.accuracy)),
                f"{_percent(cell.low)} to {_percent(cell.high)}",
                *(_percent(value) for value in (cell.tpr, cell.fpr, cell.ece)),
                *(f"{cell.brier:.3f}", _percent(cell.coverage), _percent(cell.error)),
            )
            for cell in cells
        ],
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
