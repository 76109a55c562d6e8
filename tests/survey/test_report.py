"""The verb and what it writes."""

import csv
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from facegender.cli import app, survey
from facegender.errors import InputError

from .conftest import answer, draw, photo


@pytest.fixture
def files(write, tmp_path, rates):
    """400 photos of four years, women more and more of them, one that cannot be read, and all that is known of them."""
    rng = np.random.default_rng(0)
    records, rows = [], []
    for year, women in ((1960, 10), (1970, 30), (1980, 50), (1990, 70)):
        for i in range(100):
            gender = int(i >= women)
            records.append(photo(f"{year}/{i}.jpg", zip(*draw(rng, [gender]), strict=True)))
            rows.append({"path": f"{year}/{i}.jpg", "year": year, "label": ("female", "male")[gender]})
    records.append(photo("bad.jpg", error="truncated"))
    results = write(tmp_path / "faces.csv", records, sample={"drawn": 401, "population": 4010, "seed": 1})
    pd.DataFrame(rows).to_csv(tmp_path / "known.csv", index=False)
    rates.save(tmp_path / "rates.json")
    return results, tmp_path / "known.csv", tmp_path / "rates.json", tmp_path / "out"


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments):
    return CliRunner().invoke(app, ["survey", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("unit", ["faces", "photos"])
@pytest.mark.parametrize("width", [30, 50, 80, 110, 240])
def test_no_number_is_cut_on_a_narrow_terminal(width, unit, files, monkeypatch):
    results, known, rates, out = files
    monkeypatch.setattr(survey, "results_console", lambda piped: Console(width=width))
    common = ("--metadata", known, "--group-by", "year", "--unit", unit, "--bootstrap", 100, "-o", out)
    done = run(results, "--rates", rates, *common)
    assert done.exit_code == 0
    table = [line for line in done.stdout.splitlines() if not line.startswith(str(out))]
    assert max(map(len, table)) <= width
    assert "…" not in done.stdout
    for row in read_rows(out / "survey.csv"):
        if row["women"]:
            assert f"{100 * float(row['women_low']):.1f} to {100 * float(row['women_high']):.1f}" in done.stdout
    assert ("misfit %" in done.stdout) == (width == 240)
    assert ("survey.csv (--output DIR) has the others" in done.stderr) == (width < 240)


def test_a_survey_of_years(files):
    results, known, rates, out = files
    common = ("--metadata", known, "--group-by", "year", "--bootstrap", 200, "-o", out)
    done = run(results, "--rates", rates, *common)
    assert done.exit_code == 0
    for word in ("1960", "1990", "(unknown)", str(out / "report.html"), str(out / "trend.png")):
        assert word in done.output
    rows = read_rows(out / "survey.csv")
    assert [row["group"] for row in rows] == ["all", "1960", "1970", "1980", "1990", "(unknown)"]
    assert rows[-1]["not_read"] == "1"
    for row, women in zip(rows[1:5], (0.1, 0.3, 0.5, 0.7), strict=True):
        assert float(row["women"]) == pytest.approx(women, abs=0.12)
        assert float(row["women_low"]) <= float(row["women"]) <= float(row["women_high"])
    record = json.loads((out / "survey.json").read_text())
    assert record["everyone"]["faces"] == 400
    assert record["rates"]["source"] == "made faces"


def test_the_report_can_be_cited(files):
    results, known, rates, out = files
    run(results, "--rates", rates, "--metadata", known, "--group-by", "year", "--bootstrap", 200, "-o", out)
    page = (out / "report.html").read_text()
    for word in ("tiny", "abababab", "random sample of 4,010", "Saerens", "plain count", "could not be read", "seed 0"):
        assert word in page
    assert "data:image/png;base64," in page
    assert "http" not in page


def test_labels_of_ones_own(files):
    results, known, rates, out = files
    done = run(results, "--labelled", known, "--bootstrap", 200, "-o", out)
    assert "label a sample" not in done.output
    assert "One person labelled, and the interval takes every label as right" in " ".join(done.output.split())
    assert json.loads((out / "rates.errors.json").read_text())["source"].endswith("known.csv")
    assert "| women (effective) | called male % | men (effective) |" in (out / "report.md").read_text()
    again = run(results, "--rates", out / "rates.errors.json", "--bootstrap", 200)
    assert again.exit_code == 0
    both = run(results, "--labelled", known, "--rates", rates)
    assert both.exit_code == 2
    assert "exclude each other" in both.stderr


def test_photos_and_their_two_shares(files):
    results, _, rates, out = files
    assert run(results, "--rates", rates, "--unit", "photos", "--bootstrap", 100, "-o", out).exit_code == 0
    row = read_rows(out / "survey.csv")[0]
    assert float(row["women"]) + float(row["men"]) == pytest.approx(1, abs=1e-4)
    assert "men %" in (out / "report.md").read_text()
    assert not (out / "trend.png").exists()


@pytest.fixture
def films(tmp_path):
    """Writes the tracks of so many films."""

    def films(count):
        rng, rows = np.random.default_rng(1), []
        for film in range(count):
            quality, p_male = draw(rng, np.tile([0, 1], 30))
            rows += [
                {"path": f"{film}.mp4", "track": i, "seconds": 2.0, "quality": q, "p_male": p, "label": answer(p)}
                for i, (q, p) in enumerate(zip(quality, p_male, strict=True))
            ]
        pd.DataFrame(rows).to_csv(tmp_path / "tracks.csv", index=False)
        return tmp_path / "tracks.csv"

    return films


@pytest.mark.parametrize(
    ("count", "more", "words"),
    [
        (9, (), "none: fewer than 10 videos"),
        (12, (), "for videos like these"),
        (1, ("--target", "these"), "for this film alone"),
        (12, ("--target", "these"), "for these videos alone"),
    ],
)
def test_every_output_says_what_the_interval_is_for(files, films, count, more, words):
    *_, rates, out = files
    done = run(films(count), "--rates", rates, "--bootstrap", 100, "-o", out, *more)
    assert done.exit_code == 0
    bare = words.removeprefix("for ")
    assert bare in " ".join(done.output.split())
    assert words in (out / "report.md").read_text()
    assert read_rows(out / "survey.csv")[0]["interval"] == bare
    assert json.loads((out / "survey.json").read_text())["everyone"]["interval"] == bare
    assert (read_rows(out / "survey.csv")[0]["women_low"] == "") == bare.startswith("none")


def test_a_model_without_rates_is_refused(files):
    with pytest.raises(InputError, match="--labelled"):
        run(files[0])


def test_several_groupings_and_bins(files):
    results, known, rates, out = files
    common = ("--rates", rates, "--metadata", known, "--bootstrap", 100, "-o", out)
    done = run(results, *common, "--group-by", "year:20", "--group-by", "label")
    rows = read_rows(out / "survey.csv")
    assert [row["group"] for row in rows[1:]] == [
        *("1960 to 1979, female", "1960 to 1979, male", "1980 to 1999, female", "1980 to 1999, male"),
        "(unknown), (unknown)",
    ]
    assert [(row["year:20"], row["label"]) for row in rows[:2]] == [("", ""), ("1960 to 1979", "female")]
    assert sum(int(row["faces"]) for row in rows[1:]) == int(rows[0]["faces"]) == 400
    assert "year:20, label" in " ".join(done.output.split())


def test_the_table_has_the_p_value_of_the_misfit_and_says_first_that_rates_do_not_hold(files, write, tmp_path):
    *_, rates, out = files
    rng = np.random.default_rng(0)
    odd = [photo(f"{i}.jpg", [(0.9, 0.3 + 0.4 * rng.random())]) for i in range(300)]
    done = run(write(tmp_path / "odd.jsonl", odd), "--rates", rates, "--bootstrap", 200, "-o", out)
    lines = [line for line in done.output.splitlines() if line.strip()]
    assert lines[0].startswith("note: The classifier behaves differently on these photos")
    assert "facegender label" in lines[0]
    assert next(line for line in lines if "misfit %" in line).rstrip(" ┃│").endswith(" p")
    p = read_rows(out / "survey.csv")[0]["fit_p"]
    assert f"{float(p):.3f}" in next(line for line in lines if " all " in line)


def test_the_report_is_there_when_the_reader_of_the_table_is_gone(files):
    """As with ``| head -0``: standard output is closed before the first line."""
    results, _, rates, out = files
    command = [sys.executable, "-m", "facegender", "survey", results, "--rates", rates, "--bootstrap", "100", "-o", out]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.close()
        process.wait()
    assert (out / "report.html").is_file()
    assert len(read_rows(out / "survey.csv")) == 1


def test_the_csv_of_the_page_is_surveyed_with_the_name_of_the_model(tmp_path):
    """What records.js writes: the same columns, and no .run.json beside them."""
    rng = np.random.default_rng(0)
    quality, p_male = draw(rng, np.tile([0, 1], 60))
    rows = "".join(
        f"{i}.jpg,90,60,1.0,0,0.0,0.0,9.0,9.0,0.9,{q},{p},{answer(p)},,\n"
        for i, (q, p) in enumerate(zip(quality, p_male, strict=True))
    )
    path = tmp_path / "faces.csv"
    header = "path,width,height,weight,face,x,y,w,h,score,quality,p_male,label,error_kind,error_message\n"
    path.write_text(header + rows + "notes.txt,,,1.0,,,,,,,,,,not_an_image,no image\n")
    with pytest.raises(InputError, match="--model NAME"):
        run(path)
    with pytest.raises(InputError, match="no model 'other'"):
        run(path, "--model", "other")
    done = run(path, "--model", "research", "--bootstrap", 100)
    assert done.exit_code == 0
    assert "120" in done.output


def test_a_model_that_the_results_contradict(files):
    with pytest.raises(InputError, match="made by the model tiny, not research"):
        run(files[0], "--model", "research")


def test_two_labellers_and_a_complete_collection(files, tmp_path):
    results, known, _, out = files
    other = pd.read_csv(known)
    other.loc[:9, "label"] = "unclear"
    other.to_csv(tmp_path / "other.csv", index=False)
    done = run(results, "--labelled", known, "--labelled", tmp_path / "other.csv", "--bootstrap", 100, "-o", out)
    assert "One person labelled" not in done.output
    assert "agree on 97.5 % of the 400 faces" in " ".join(done.output.split())
    assert "Cohen's kappa 0.9" in (out / "report.md").read_text()
    assert read_rows(out / "survey.csv")[0]["labelled"] == "390"


def test_the_verb_says_first_that_the_first_photos_are_no_sample(files, write, tmp_path):
    rng = np.random.default_rng(0)
    photos = [photo(f"{i}.jpg", zip(*draw(rng, [i % 2]), strict=True)) for i in range(60)]
    results = write(tmp_path / "first.jsonl", photos, command="facegender predict photos --limit 60 -o first.jsonl")
    done = run(results, "--rates", files[2], "--bootstrap", 100)
    assert done.output.startswith("note: The results are of the first photos alone (--limit)")


def test_the_verb_takes_copies_once_or_all(files):
    results, _, rates, _ = files
    assert run(results, "--rates", rates, "--bootstrap", 100, "--copies", "all").exit_code == 0
    refused = run(results, "--rates", rates, "--copies", "twice")
    assert refused.exit_code == 2
    assert "'once', 'all'" in refused.stderr


def test_brackets_and_bars_in_names_stay(write, tmp_path, rates):
    rng = np.random.default_rng(0)
    names = ["[s.d.]", "[/um 1920]", "Ämter | *x*"]
    records = [photo(f"{i}.jpg", zip(*draw(rng, [i % 2]), strict=True)) for i in range(90)]
    rows = [{"path": f"{i}.jpg", "when | where": names[i % 3]} for i in range(90)]
    pd.DataFrame(rows).to_csv(tmp_path / "photos.csv", index=False)
    rates.save(tmp_path / "rates.json")
    done = run(
        *(write(tmp_path / "faces.jsonl", records), "--rates", tmp_path / "rates.json", "--bootstrap", 100),
        *("--metadata", tmp_path / "photos.csv", "--group-by", "when | where", "-o", tmp_path / "out"),
    )
    assert done.exit_code == 0
    for word in ("[s.d.]", "[/um", "Ämter"):
        assert word in done.output
    assert "| when \\| where |" in (tmp_path / "out" / "report.md").read_text()
    assert "<th>when | where</th>" in (tmp_path / "out" / "report.html").read_text()
