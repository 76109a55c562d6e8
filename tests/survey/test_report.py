"""The verb and what it writes."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from facegender.cli import app
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
    assert json.loads((out / "rates.errors.json").read_text())["source"].endswith("known.csv")
    again = run(results, "--rates", out / "rates.errors.json", "--bootstrap", 200)
    assert again.exit_code == 0
    with pytest.raises(InputError, match="cannot both be given"):
        run(results, "--labelled", known, "--rates", rates)


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
