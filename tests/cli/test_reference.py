"""docs/cli.md is what --help says."""

import subprocess
import sys
from pathlib import Path

import typer
from typer.testing import CliRunner

from facegender.cli import app

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date(tmp_path):
    # The command of `make docs`.
    page = tmp_path / "cli.md"
    options = ["--name", "facegender", "--title", "Command line", "--output", str(page)]
    command = [sys.executable, "-m", "typer", "facegender.cli", "utils", "docs", *options]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert page.read_text() == (ROOT / "docs" / "cli.md").read_text(), "run: make docs"


def test_every_verb_says_what_it_does():
    verbs = typer.main.get_command(app).commands
    assert {"predict", "survey", "serve", "page", "params", "prepare", "train", "export", "reproduce"} <= set(verbs)
    for verb in verbs:
        shown = CliRunner().invoke(app, [verb, "--help"])
        assert shown.exit_code == 0
        assert f"facegender {verb}" in shown.output.replace("root", "facegender", 1)
