"""What a measurement ran on, in a few words for the last columns of a CSV. Imports no other package."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the processor in Linux's words, such as ``avx2`` or ``amx_bf16``; none known elsewhere."""
    return frozenset(_cpuinfo("flags", "Features").split())


def hardware() -> str:
    """Processor and usable cores."""
    return f"{_cpuinfo('model name') or platform.processor() or platform.machine()}, {usable_cores()} cores"


def versions(*packages: str) -> dict[str, str]:
    """Version of Python and of those of the packages that are installed."""
    found = {"Python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine(*packages: str) -> str:
    """Processor, usable cores, Python and package versions."""
    python, *others = (f"{name} {number}" for name, number in versions(*packages).items())
    return ", ".join(part for part in (hardware(), python, " ".join(others)) if part)


def _cpuinfo(*keys: str) -> str:
    """The first value that Linux gives under one of the keys; "" where there is none."""
    lines = _CPUINFO.read_text(encoding="utf-8").splitlines() if _CPUINFO.exists() else []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return ""
