"""``FILE.run.json``: how a file of records came about, and whether a run has the same settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegender.errors import InputError
from facegender.formats.records import Record

#: What to do where results cannot be continued.
AFRESH = "--no-resume starts afresh and replaces it; or choose another --output"


def run_file(path: Path) -> Path:
    """Where it is written how a file of records came about."""
    return path.with_name(f"{path.name}.run.json")


def read_provenance(file: Path, settings: Record, *, labels: bool = True) -> Record:
    """Read how records came about; without `labels`, whatever their least confidence.

    Raises:
        InputError: it does not say so, or it was with other settings.
    """
    try:
        provenance: Record = json.loads(file.read_text(encoding="utf-8"))
        require_same_settings(provenance, settings, file, labels=labels)
    except InputError:  # a ValueError too, and says more
        raise
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"there are results already, and no {file} says how they came about", remedy=AFRESH) from None
    return provenance


def require_same_settings(then: Mapping[str, Any], settings: Record, file: Path, *, labels: bool) -> None:
    """Refuse settings that differ from those in `file`; without `labels`, the least confidence may differ.

    Raises:
        InputError: they differ.
        KeyError: one of them is not in `then`.
    """

    def compared(value: Any) -> Any:
        if labels or not isinstance(value, dict):
            return value
        return {key: inner for key, inner in value.items() if key != "min_confidence"}

    for name, value in settings.items():
        if compared(then[name]) != compared(value):
            before, now = json.dumps(then[name]), json.dumps(value)
            raise InputError(f"{file} has another {name}: {before}, and now it is {now}", remedy=AFRESH)
