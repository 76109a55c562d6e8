"""docs/cli.md is what --help says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_is_up_to_date(tmp_path):
    # The command of `make docs`.
    page = tmp_path / "cli.md"
    options = ["--name", "facegender", "--title", "Command line", "--output", str(page)]
    command = [sys.executable, "-m", "typer", "facegender.cli", "utils", "docs", *options]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    assert page.read_text() == (ROOT / "docs" / "cli.md").read_text(), "run: make docs"


def test_every_verb_says_what_it_does():
    root = subprocess.run([sys.executable, "-m", "facegender", "--help"], check=True, capture_output=True, text=True)
    verbs = ("predict", "params", "prepare", "train", "crossval", "crossdataset", "evaluate", "errors", "leaks")
    for verb in (*verbs, "export", "benchmark", "reproduce", "train-detector"):
        assert verb in root.stdout
        shown = subprocess.run(
            [sys.executable, "-m", "facegender", verb, "--help"], check=True, capture_output=True, text=True
        )
        assert f"facegender {verb}" in shown.stdout
