"""Clear words where an extra is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from facegender.errors import MissingExtraError


def require_training() -> None:
    """Check that the extra ``train`` is there before a verb imports it.

    Raises:
        MissingExtraError: it is not.
    """
    for package in ("torch", "lightning_fabric", "safetensors", "sklearn", "scipy", "matplotlib", "tomli_w"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")
