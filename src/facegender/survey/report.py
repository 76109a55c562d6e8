"""A survey in files: numbers as CSV and JSON, a trend, and a report with method text that can be cited."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from facegender._version import __version__
from facegender.files import atomic_file, write_text
from facegender.plots import new_figure, plain, save_figure
from facegender.report import Section, picture, table, write_report
from facegender.survey.method import REFERENCES, method_text
from facegender.survey.outcome import Estimate, Survey, Unit
from facegender.tables import rounded
from facegender.wording import counted

#: Colour-blind safe (Okabe and Ito), as elsewhere.
_COLOURS = {"women": "#d55e00", "men": "#0072b2"}

#: What a share is of.
_OF: dict[Unit, str] = {
    "faces": "of the faces",
    "photos": "of the photos show one",
    "screen-time": "of the screen time",
}
_MUCH = 60
#: Columns about the clusters of a row.
CLUSTERS = ("clusters", "largest %", "design effect")


def write_survey(folder: Path, survey: Survey, command: str) -> list[Path]:
    """Write ``survey.csv`` and ``.json``, ``report.md`` and ``.html``, and ``trend.png`` where groups have an order.

    Returns:
        the files, the report last.

    Raises:
        OutputError: the folder cannot be written.
    """
    rows = [survey.everyone, *survey.groups]
    names = [field.name for field in fields(Estimate)]
    with atomic_file(folder / "survey.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        several = survey.group_by if len(survey.group_by) > 1 else ()
        writer.writerow([*names, *several, "unit", "method", "level", "command"])
        for row, columns in zip(rows, [("",) * len(several), *survey.values], strict=True):
            values = rounded(asdict(row)).values()
            writer.writerow([*values, *(columns if several else ()), survey.unit, survey.method, survey.level, command])
    record = {**asdict(survey), "rates": survey.rates.to_dict(), "command": command, "version": __version__}
    write_text(folder / "survey.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    files = [folder / "survey.csv", folder / "survey.json"]
    trend = [row for row in survey.groups if row.women is not None and re.match(r"-?\d", row.group)]
    if survey.ordered and len(trend) > 1:
        draw_trend(folder / "trend.png", survey, trend)
        files.append(folder / "trend.png")
    return [*files, _report(folder, survey, command, files[2:])]


def draw_trend(path: Path, survey: Survey, rows: list[Estimate]) -> None:
    """The corrected shares of ordered groups with their intervals, and the plain count as a thin line.

    Raises:
        OutputError: the folder cannot be written.
    """
    figure = new_figure(8.0, 4.2)
    axes = figure.subplots()
    numbers = all(re.fullmatch(r"-?\d+(\.\d+)?", row.group) for row in rows)
    places = [float(row.group) if numbers else float(i) for i, row in enumerate(rows)]
    for word in ("women", "men") if survey.unit == "photos" else ("women",):
        names = (word, f"{word}_low", f"{word}_high", f"plain_{word}")
        shares, low, high, plain_ones = (100 * np.array([getattr(row, name) for row in rows], float) for name in names)
        axes.fill_between(places, low, high, color=_COLOURS[word], alpha=0.2, linewidth=0)
        axes.plot(places, shares, color=_COLOURS[word], marker="o", markersize=4, label=f"{word}, corrected")
        axes.plot(places, plain_ones, color=_COLOURS[word], linewidth=0.9, linestyle="--", label=f"{word}, plain count")
    if not numbers:
        step = max(1, len(rows) // 12)
        axes.set_xticks(places[::step], [row.group for row in rows][::step], rotation=30, ha="right")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=survey.grouping, ylabel=f"% {_OF[survey.unit]}", ylim=(0, 100))
    axes.set_title(f"Shaded: {interval_title(survey)}", loc="left", fontsize="medium")
    axes.legend(frameon=False)
    plain(axes)
    save_figure(figure, path)


def _number(value: float | None, form: str = ".1f", scale: int = 100) -> str:
    """In percent; a dash where there is none."""
    return "-" if value is None else f"{scale * value:{form}}"


def cells(row: Estimate) -> dict[str, str]:
    """What tables say of a row: a dash where there is nothing, and in place of an interval why."""
    intervals = {
        f"{word} interval": (row.interval if row.no_interval else "-")
        if low is None or high is None
        else f"{100 * low:.1f} to {100 * high:.1f}"
        for word, low, high in (("women", row.women_low, row.women_high), ("men", row.men_low, row.men_high))
    }
    return {
        "read": f"{row.photos:,}",
        "not read": f"{row.not_read:,}",
        "no face": f"{row.faceless:,}",
        "faces": f"{row.faces:,}",
        "left out": f"{row.left_out:,}",
        "labelled": f"{row.labelled:,}",
        "represented": f"{row.represented:,.0f}",
        "women %": _number(row.women),
        "men %": _number(row.men),
        **intervals,
        "plain women %": _number(row.plain_women),
        "plain men %": _number(row.plain_men),
        "uncertain %": _number(row.uncertain),
        "misfit %": _number(row.fit_distance),
        "p": _number(row.fit_p, ".3f", 1),
        "clusters": f"{row.clusters:,}",
        "largest %": _number(row.largest_cluster),
        "design effect": _number(row.design_effect, scale=1),
    }


def interval_title(survey: Survey) -> str:
    """Level of the intervals and what they are for."""
    everyone = survey.everyone
    return f"{100 * survey.level:g} % interval" + ("" if everyone.no_interval else f" for {everyone.interval}")


def _report(folder: Path, survey: Survey, command: str, figures: list[Path]) -> Path:
    everyone = cells(survey.everyone)
    unit = "" if survey.everyone.no_interval else " %"
    sentence = (
        f"**Women: {everyone['women %']} %** {_OF[survey.unit]} ({interval_title(survey)}: "
        f"{everyone['women interval']}{unit}). Men: {everyone['men %']} % ({everyone['men interval']}{unit}). "
        f"The plain count says {everyone['plain women %']} % and {everyone['plain men %']} %; the classifier left "
        f"{everyone['uncertain %']} % unanswered."
    )
    if survey.everyone.no_share:
        sentence = f"**{counted(survey.everyone.faces, 'face')}**: too few for a share."
    sections = []
    if survey.warnings:
        sections.append(Section("Before you publish", [f"- {warning}" for warning in survey.warnings]))
    blocks = [picture(figure.name, f"Shares by {survey.grouping}, with intervals") for figure in figures]
    rows = [survey.everyone, *survey.groups]
    shown = rows[: _MUCH + 1]
    if len(shown) < len(rows):
        blocks.append(f"The first {_MUCH} of {len(rows) - 1} groups; survey.csv has all.")
    names = {"women %": "women %", "women interval": interval_title(survey)}
    if survey.unit == "photos":
        names |= {"men %": "men %", "men interval": "interval"}
        names |= {"plain women %": "plain women %", "plain men %": "plain men %", "uncertain %": "uncertain %"}
    else:
        names |= {"plain women %": "plain count %", "uncertain %": "uncertain %"}
    shares = [[f"{row.group}{'*' if row.few else ''}", *map(cells(row).__getitem__, names)] for row in shown]
    sections.append(Section("Shares", [*blocks, table((survey.grouping, *names.values()), shares)]))
    counts = ["read", "not read", "no face", "faces", "left out", "labelled", "represented", "misfit %", "p"]
    counts += () if survey.cluster is None else CLUSTERS
    rows_of_counts = [[row.group, *map(cells(row).__getitem__, counts)] for row in shown]
    sections.append(Section("What was counted", [table((survey.grouping, *counts), rows_of_counts)]))
    sections.append(Section("Method", method_text(survey)))
    missed = survey.rates.not_found
    of_women, of_men = counted(missed[0], "photo"), f"{missed[1]:,}"
    if survey.rates.totals is None:
        women, men = (int(counts.sum()) for counts in (survey.rates.female, survey.rates.male))
        of_women = f"{missed[0]:,} of {counted(women + missed[0], 'photo')}"
        of_men = f"{missed[1]:,} of {men + missed[1]:,}"
    how = " (effective)" if survey.rates.totals is not None else " (all versions)" if survey.rates.sets else ""
    rates = [
        (name, f"{women:,}", _number(f), f"{men:,}", _number(m)) for name, women, f, men, m in survey.rates.summary()
    ]
    sections.append(
        Section(
            "The classifier's errors",
            [
                table(("quality", f"women{how}", "called male %", f"men{how}", "called female %"), rates),
                f"In {of_women} of women and {of_men} of men ({survey.rates.source}) the labelled face was not found; "
                "no count can correct for that.",
            ],
        )
    )
    sections.append(Section("References", ["\n".join(f"{i}. {text}" for i, text in enumerate(REFERENCES, 1))]))
    introduction = [sentence, f"Again with `{command}`."]
    return write_report(folder, "report", "How often women and men appear", introduction, sections)
