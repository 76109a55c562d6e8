"""What the verbs that train need before they begin."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec

from facegender.errors import MissingExtraError


def require_training() -> None:
    """Check that the extra ``train`` is there before a verb imports it; let the epochs be logged.

    Where nobody watches a progress bar, one line an epoch goes to standard error.

    Raises:
        MissingExtraError: it is not.
    """
    for package in (
        "torch",
        "lightning_fabric",
        "safetensors",
        "sklearn",
        "scipy",
        "matplotlib",
        "tomli_w",
        "onnx",
        "onnxscript",
    ):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if not sys.stderr.isatty():
        logging.basicConfig(format="%(message)s")
        logging.getLogger("facegender").setLevel(logging.INFO)
