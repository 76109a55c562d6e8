"""Packages that a verb needs beside the core."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec

from facegender.errors import MissingExtraError


def require(extra: str, *packages: str) -> None:
    """Check that packages are there before a verb imports them.

    Args:
        packages: by the names under which they are installed.

    Raises:
        MissingExtraError: one is not there.
    """
    for package in packages:
        if find_spec(_MODULES.get(package, package.replace("-", "_"))) is None:
            raise MissingExtraError(package, extra)


def require_training() -> None:
    """Check that the extra ``train`` is there; log the epochs to standard error where no progress bar is shown.

    Raises:
        MissingExtraError: a package of it is not there.
    """
    require("train", "torch", "lightning-fabric", "safetensors", "onnx", "onnxscript", "tomli-w")
    require("train", "scikit-learn", "scipy", "matplotlib")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if not sys.stderr.isatty():
        logging.basicConfig(format="%(message)s")
        logging.getLogger("facegender").setLevel(logging.INFO)


#: Modules of other names than their packages'.
_MODULES = {"markdown-it-py": "markdown_it", "scikit-learn": "sklearn"}
