"""docs/cli.md is what --help says."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from facegender.cli import app
from facegender.cli.root import VERBS

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date(tmp_path):
    # The command of `make docs`.
    page = tmp_path / "cli.md"
    options = ["--name", "facegender", "--title", "Command line", "--output", str(page)]
    command = [sys.executable, "-m", "typer", "facegender.cli", "utils", "docs", *options]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert page.read_text() == (ROOT / "docs" / "cli.md").read_text(), "run: make docs"


@pytest.mark.parametrize("number", ["-1", "nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("verb", "option"),
    [
        *(
            ("predict", option)
            for option in ("--fps", "--time-limit", "--min-score", "--max-error", "--min-confidence")
        ),
        *(("survey", option) for option in ("--min-quality", "--level", "--bootstrap", "--seed")),
        *(("label", option) for option in ("--number", "--seed", "--port")),
    ],
)
def test_a_number_out_of_range_is_wrong_usage(verb, option, number):
    result = CliRunner().invoke(app, [verb, "absent", option, number])
    assert result.exit_code == 2
    assert option in result.stderr


def test_every_verb_says_what_it_does():
    group = typer.main.get_group(app)
    verbs = group.list_commands(None)
    assert {"predict", "survey", "serve", "page", "params", "prepare", "train", "export", "reproduce"} <= set(verbs)
    for verb in verbs:
        paragraph, _, _ = inspect.cleandoc(group.get_command(None, verb).help).partition("\n\n")
        assert VERBS[verb] == " ".join(paragraph.split())
        shown = CliRunner().invoke(app, [verb, "--help"])
        assert shown.exit_code == 0
        assert f"facegender {verb}" in shown.output.replace("root", "facegender", 1)
