"""What studies write beside their numbers."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


def study_command() -> str:
    """The script that runs with its arguments, without ``--output``; of paths the last part, as the rest is local."""
    words = ["python", "/".join(Path(sys.argv[0]).absolute().parts[-3:])]
    arguments = iter(sys.argv[1:])
    for word in arguments:
        if word == "--output":
            next(arguments, None)
        elif not word.startswith("--output="):
            words.append(Path(word).name if os.sep in word else word)
    return shlex.join(words)
