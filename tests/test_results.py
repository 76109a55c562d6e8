"""results/: its index is current, its commands exist, and every measured number in the pages stands in a file."""

import csv
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import results_index

from facegender import weights
from facegender.wording import display_name

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"

#: Pages whose tables are calculated from results: they have tests of their own below.
CALCULATED = ("scale", "archives")
#: Pages whose tables hold options, formats and statuses, not measurements.
NOT_MEASURED = ("cli", "export", "benchmark", "service")
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "MODEL_CARD.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.stem not in (*NOT_MEASURED, *CALCULATED)
]
#: Pages whose tables name networks and test sets as the files do: the number has to stand in such a row.
BY_NAME = ("README.md",)
#: Cells that print no measurement of ours: bars that were asked for, the paper's and other people's figures.
HEADERS_ALLOWED = ("asked for", "target", "terms", "paper", "the paper: accuracy / TPR", "where", "recipe")
ROWS_ALLOWED = ("best published",)
#: Parts of a cell that print no measurement.
WORDS_ALLOWED = re.compile(
    r"""
    \[[^]]*\]\([^)]*\)          # links
    | `[^`]*`                   # options, digests, formats
    """,
    re.VERBOSE,
)
NUMBER = re.compile(r"(?<![\w.^])-?\d[\d,]*(?:\.\d+)?(?![\w^])")


def test_the_index_is_current():
    written = (RESULTS / "README.md").read_text(encoding="utf-8")
    assert written == results_index.page(), "run: python scripts/results_index.py"


def test_every_study_that_a_result_names_is_there():
    for name in results_index.files():
        text = (RESULTS / name).read_text(encoding="utf-8")
        for study in set(re.findall(r"studies/[\w/]+\.py", text)):
            assert (ROOT / study).is_file(), f"{name} names {study}"


def test_no_command_has_a_path_of_the_machine_that_it_ran_on():
    for name in results_index.files():
        with (RESULTS / name).open(newline="", encoding="utf-8") as file:
            commands = {row.get("command") or "" for row in csv.DictReader(file)}
        assert not [command for command in commands if re.search(r"(?:^|[\s='\"])/", command)], name


def numbers_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {number for each in value for number in numbers_in(each)}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {float(value)}
    return {float(n.replace(",", "")) for n in NUMBER.findall(value)} if isinstance(value, str) else set()


def words_in(text):
    return set(re.findall(r"[a-z]+", text.lower()))


@cache
def numbers_of(name, words=frozenset()):
    """Numbers in a CSV file, but those in the columns that say how it was made.

    Of the rows that the words name best: by cells such as a network or a test set.
    """
    with (RESULTS / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    named = [sum(cell.lower() in words for cell in row.values()) for row in rows]
    return {
        number
        for row, count in zip(rows, named, strict=True)
        if count == max(named)
        for column, cell in row.items()
        if column not in ("command", "machine")
        for number in numbers_in(cell)
    } | {float(len(rows))}


@cache
def numbers_of_cards():
    cards = [path.with_suffix(".json") for path in map(weights.weight_path, weights.list_models())]
    return frozenset().union(
        *(numbers_in(json.loads(path.read_text())) for path in [*cards, weights.detector_path().with_suffix(".json")])
    )


def stands(text, numbers):
    """Whether a printed number is one of these, rounded, or given in per cent or in thousands."""
    printed = float(text.replace(",", ""))
    decimals = len(text.partition(".")[2])
    room = 0.5 * 10**-decimals * (1 + 1e-9) + 1e-12
    values = np.fromiter(numbers, float) if isinstance(numbers, (set, frozenset)) else numbers
    return any((abs(values * scale - printed) <= room).any() for scale in (1, 100, 1000, 1e-3))


def links(text):
    found = re.findall(r"\(((?:\.\./)*results/[\w/.-]+?)\)", text)
    return {path.lstrip("./").removeprefix("results/") for path in found if path.endswith(".csv")}


def tables(text):
    """(files, header, row) of every row of every table: files linked in the row, or in its section, or in the page."""
    for section in re.split(r"(?m)^(?=##? )", text):
        header = None
        for line in section.splitlines():
            if not line.startswith("|"):
                header = None
                continue
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if header is None:
                header = cells
            elif not set(line) <= set("|-: "):
                yield links(line) or links(section) or links(text), header, cells


def printed(page):
    for files, header, cells in tables((ROOT / page).read_text(encoding="utf-8")):
        if cells[0].startswith(ROWS_ALLOWED):
            continue
        for column, cell in zip(header[1:], cells[1:], strict=True):
            if column not in HEADERS_ALLOWED:
                for number in NUMBER.findall(WORDS_ALLOWED.sub("", cell.replace("*", ""))):
                    yield files, f"{cells[0]} {column}", number


@pytest.mark.parametrize("page", PAGES)
def test_every_number_in_a_table_stands_in_a_result(page):
    absent = [f"{row}: {number}" for files, row, number in printed(page) if not is_in(files, row, number, page)]
    assert not absent, "\n".join(absent)


def is_in(files, row, number, page):
    """Whether a number stands in one of the files or in a card; for BY_NAME in the file's rows of that name."""
    if page in BY_NAME:
        return stands(number, set().union(*(numbers_of(name, frozenset(words_in(row))) for name in files)))
    return stands(number, known_numbers(tuple(sorted(files or results_index.files()))))


@cache
def known_numbers(files):
    """Those of the files and of the cards."""
    return np.array(sorted(numbers_of_cards().union(*map(numbers_of, files))))


def rows_of(page):
    return [cells for _, _, cells in tables((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))]


def results(name):
    with (RESULTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_a_collection_costs_follows_from_the_measured_photos():
    measured = {row["measure"]: float(row["value"]) for row in results("speed/engine.csv")}
    starts = ("250 x 250 pixels", "JPEG of 1 megapixel", "JPEG of 12 megapixels")
    for start, cells in zip(starts, rows_of("scale"), strict=True):
        (ms,) = (v for name, v in measured.items() if re.match(rf"{start} (?=.*2 workers).*ms a photo", name))
        core, clock, hours = cells[2:5]
        seconds = 1e6 * 2 * ms / 1000 / 16
        assert float(core.removesuffix(" ms")) == pytest.approx(2 * ms, rel=0.01)
        value, unit = clock.split()
        assert float(value) == pytest.approx(seconds / {"min": 60, "h": 3600}[unit], rel=0.02)
        assert float(hours.replace(",", "")) == pytest.approx(1e9 * 2 * ms / 1000 / 3600, rel=0.005)


def test_the_table_of_the_simulation_is_the_mean_over_the_prevalences():
    names = {
        "test faces": "held back",
        "faces of 12 to 24 pixels": "smaller",
        "photos a quarter to a half as bright": "darker photos",
        "Black people": "darker skin",
        "LFW": "LFW",
        "LFW: news photos, in no training set": "LFW",
        "people under 20": "younger",
    }
    simulated = [r for r in results("survey/simulation.csv") if (r["model"], r["method"]) == ("research", "mixture")]
    printed_rows = [cells for cells in rows_of("archives") if cells[0] in names]
    assert len(printed_rows) == 12
    for collection, rates, *cells in printed_rows:
        kinds = {"shipped": "shipped", "another half of them": "other half"}
        kind = kinds.get(rates, "labelled 500" if rates in ("500 labels", "303 labels") else "labelled 200")
        some = [row for row in simulated if (row["collection"], row["rates"]) == (names[collection], kind)]
        if kind.startswith("labelled"):
            assert {f"{row['labelled']} labels" for row in some} == {rates}

        def column(name, rows=some):
            return [float(row[name]) for row in rows]

        expected = (
            100 * sum(column("coverage")) / len(some),
            sum(column("width")) / len(some),
            max(column("bias"), key=abs),
            max(column("plain_bias"), key=abs),
            100 * sum(column("warned")) / len(some),
        )
        for cell, value in zip(cells, expected, strict=True):
            assert stands(cell.replace("*", ""), {value}), (collection, rates, cell, value)


def test_the_table_of_sets_in_the_survey_page_is_that_of_its_file():
    measured = results("survey/sets.csv")
    printed_rows = [cells for cells in rows_of("archives") if cells[0] in ("`research`", "`open`")]
    assert len(printed_rows) == 10
    for model, rates, faces, coverage, lowest, width, warned in printed_rows:
        of_rates = [r for r in measured if (f"`{r['model']}`", r["rates"], r["version"]) == (model, rates, "all")]
        whole = next(row for row in of_rates if row["set"] == "all")
        least = min((row for row in of_rates if row["set"] != "all"), key=lambda row: float(row["coverage"]))
        assert faces.replace(",", "") == whole["faces"]
        assert float(coverage) == pytest.approx(100 * float(whole["coverage"]), abs=0.06)
        assert lowest.endswith(f"({display_name(least['set'])})")
        assert float(lowest.split()[0]) == pytest.approx(100 * float(least["coverage"]), abs=0.06)
        assert float(width) == pytest.approx(float(whole["width"]), abs=0.06)
        assert float(warned) == pytest.approx(100 * float(whole["warned"]), abs=0.6)


@pytest.mark.parametrize(
    ("text", "number", "same"),
    [
        ("97.5", 0.9748, True),
        ("97.5", 97.48, True),
        ("97.5", 0.9744, False),
        ("17,825", 17825, True),
        ("0.5", 0.549, True),
        ("0.50", 0.549, False),
        ("-4.4", -4.42, True),
        ("4.4", -4.42, False),
    ],
)
def test_a_printed_number_is_a_measured_one_rounded(text, number, same):
    assert stands(text, {number}) is same


@pytest.mark.parametrize(("page", "least"), [("README.md", 25), ("MODEL_CARD.md", 500), ("docs/measured.md", 130)])
def test_the_tables_are_read(page, least):
    assert sum(1 for _ in printed(page)) >= least
