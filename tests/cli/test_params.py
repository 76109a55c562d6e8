"""`facegender params`."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from facegender.cli import app, params
from facegender.errors import RecipeError
from facegender.lab.networks.registry import network_names

assert params  # importing it registers the verb


def run(*arguments):
    result = CliRunner().invoke(app, ["params", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_paper_tables_beside_ours():
    text = run()
    for number in (
        "2,041,796",
        "1,785,796",
        "6,799,700",
        "6,998,552",
        "5,975,602",
        "62,378,344",
        "58,289,538",
    ):
        assert number in text
    assert all(name in text for name in ("custom-cnn-table1", "custom-cnn-table3", "alexnet", "googlenet"))
    assert "Why they differ" in text
    assert max(map(len, text.splitlines())) <= 100


def test_paper_tables_as_json():
    record = json.loads(run("--format", "json"))
    assert set(record) == {"table3", "table4", "notes"}
    assert record["table3"][-1]["published"] == record["table3"][-1]["table3"] == 2_041_796
    assert record["table3"][-1]["table1"] == 1_785_796


def test_paper_tables_as_csv():
    rows = list(csv.DictReader(io.StringIO(run("--format", "csv"))))
    (counted,) = [row["value"] for row in rows if (row["name"], row["column"]) == ("googlenet", "1000 classes")]
    assert counted == "6998552"


@pytest.mark.parametrize("name", network_names())
def test_one_network_fits_the_page(name):
    text = run(name)
    assert "Bytes of weights: fp32" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_one_network_as_json():
    record = json.loads(run("custom-cnn-table3", "--gray", "--classes", "7", "--format", "json"))
    assert record["input"] == [1, 64, 64]
    assert record["classes"] == 7
    assert record["total"]["parameters"] == 2_041_796 - 144 + 5 * 51
    assert record["weight_bytes"]["fp16"] == 2 * record["total"]["parameters"]


def test_one_network_as_csv():
    rows = list(csv.DictReader(io.StringIO(run("alexnet", "--classes", "1000", "--format", "csv"))))
    assert rows[-1]["layer"] == "total"
    assert int(rows[-1]["parameters"]) == 62_378_344
    assert sum(int(row["macs"]) for row in rows[:-1]) == int(rows[-1]["macs"])


@pytest.mark.parametrize("option", [["--gray"], ["--classes", "3"]])
def test_options_need_a_network(option):
    result = CliRunner().invoke(app, ["params", *option])
    assert result.exit_code == 2
    assert "need a NETWORK" in result.stderr


def test_unknown_network():
    with pytest.raises(RecipeError, match="resnet"):
        CliRunner().invoke(app, ["params", "resnet"], catch_exceptions=False)


@pytest.mark.parametrize("arguments", [[], ["residual"]])
def test_without_torch_it_says_what_to_install(arguments):
    code = "import sys; sys.modules['torch'] = None; from facegender.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "params", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "needs the package torch" in done.stderr
    assert "facegender[train]" in done.stderr
    assert "Traceback" not in done.stderr
