"""``FILE.run.json``: how a file of records came about, and whether a run has the same settings."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from facegender.errors import InputError
from facegender.formats.records import Record
from facegender.wording import counted

#: What to do where results cannot be continued.
AFRESH = "choose another --output, or replace it with --no-resume"


def run_file(path: Path) -> Path:
    """Where it is written how a file of records came about."""
    return path.with_name(f"{path.name}.run.json")


def read_provenance(path: Path, settings: Record, *, labels: bool = True) -> Record:
    """Read how the records in a file came about; without `labels`, whatever their least confidence.

    Raises:
        InputError: it is not known, or it was with other settings.
    """
    file = run_file(path)
    try:
        provenance: Record = json.loads(file.read_text(encoding="utf-8"))
        require_same_settings(provenance, settings, path, labels=labels)
    except InputError:  # a ValueError too, and says more
        raise
    except FileNotFoundError:
        message = f"{path} exists, and facegender has no record of writing it: {file} is missing"
        raise InputError(message, remedy=AFRESH) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        message = f"{path} exists, and {file} does not say how it was made"
        raise InputError(message, remedy=AFRESH) from None
    return provenance


def require_same_settings(then: Mapping[str, Any], settings: Record, path: Path, *, labels: bool) -> None:
    """Refuse settings that differ from those of the records in `path`; without `labels`, the least confidence may.

    Raises:
        InputError: they differ.
        KeyError: one of them is not in `then`.
    """
    former: list[str] = []
    current: list[str] = []
    for name, value in settings.items():
        before, now = then[name], value
        if name == "model" and not labels:
            before, now = ({**model, "min_confidence": None} for model in (before, now))
        if before != now:
            for said, words in zip(_WORDS[name](before, now), (former, current), strict=True):
                words.append(said)
    if former:
        message = f"{path} was made with {', '.join(former)}; this command has {', '.join(current)}"
        raise InputError(message, remedy=AFRESH)


def _model(before: Any, now: Any) -> tuple[str, str]:
    if (before["name"], before.get("sha256")) == (now["name"], now.get("sha256")):
        key = "min_confidence"
        return f"a least confidence of {before[key]}", f"{now[key]} (by --max-error or --min-confidence)"
    return _network("--model", before, now)


def _network(option: str, before: Any, now: Any) -> tuple[str, str]:
    if before["name"] != now["name"]:
        return f"{option} {before['name']}", f"{option} {now['name']}"
    name = f"{option} {now['name']}"
    return f"other weights of {name} (sha256 {before['sha256']:.12}...)", f"sha256 {now['sha256']:.12}..."


def _options(before: Any, now: Any) -> tuple[str, str]:
    differ = [name for name in {**before, **now} if before.get(name) != now.get(name)]

    def said(options: Any) -> str:
        values = {name.replace("_", "-"): options.get(name) for name in differ}
        return " ".join(f"--{name} {'default' if v is None else shlex.quote(str(v))}" for name, v in values.items())

    return said(before), said(now)


def _sample(before: Any, now: Any) -> tuple[str, str]:
    def said(sample: Any) -> str:
        if sample is None:
            return "no --sample"
        return f"--sample {sample['drawn']} --seed {sample['seed']} of {counted(sample['population'], 'photo')}"

    return said(before), said(now)


#: How what differs is said, of each setting.
_WORDS: dict[str, Callable[[Any, Any], tuple[str, str]]] = {
    "version": lambda before, now: (f"facegender {before}", f"facegender {now}"),
    "model": _model,
    "detector": partial(_network, "--detector"),
    "options": _options,
    "sample": _sample,
}
