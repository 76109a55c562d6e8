"""Completion in the shell, as `facegender --install-completion` sets it up."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "found"),
    [("facegender sur", "survey"), ("facegender survey --gr", "--group-by"), ("facegender prepare ce", "celeba")],
)
def test_verbs_and_options_are_completed(words, found):
    position = str(len(words.split()) - 1)
    asked = {"_FACEGENDER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": position}
    code = "import sys; from facegender.cli import main; sys.argv = ['facegender']; main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [found], done.stderr
