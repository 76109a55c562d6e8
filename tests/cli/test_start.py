"""What a command imports before it begins."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from facegender.cli import app
from facegender.cli.root import VERBS

#: The verbs' modules, and what takes long to import. `predict` needs IMAGES for its options.
VERB_MODULES = {f"facegender.cli.{verb.replace('-', '_')}" for verb in VERBS}
IMAGES = {"numpy", "PIL", "cv2"}
HEAVY = {"torch", "pandas", "scipy", "sklearn", "matplotlib", "onnxruntime", "pyarrow", "fastapi", "httpx", "ray", "av"}

_SCRIPT = """
import json, sys
from facegender.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *arguments], check=True, capture_output=True, text=True)
    assert done.stdout
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids="".join)
def test_a_list_of_the_verbs_imports_none(arguments):
    assert not imported(*arguments) & (VERB_MODULES | HEAVY | IMAGES)


@pytest.mark.parametrize("verb", ["params", "predict", "train-detector"])
def test_help_imports_one_verb_and_nothing_that_takes_long(verb):
    modules = imported(verb, "--help")
    assert f"facegender.cli.{verb.replace('-', '_')}" in modules
    assert {name for name in modules & VERB_MODULES if verb.replace("-", "_") not in name} == set()
    assert not modules & (HEAVY if verb == "predict" else HEAVY | IMAGES)


def test_a_mistyped_verb():
    result = CliRunner().invoke(app, ["pedict"])
    assert result.exit_code == 2
    assert "Did you mean 'predict'?" in result.stderr
