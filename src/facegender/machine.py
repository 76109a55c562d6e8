"""What a measurement ran on, in a few words for the last columns of a CSV. Imports no other package."""

from __future__ import annotations

import math
import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """How many cores this process may use: those it is bound to, or the CPU time of a container, in whole cores."""
    quota = cpu_quota()
    return bound_cores() if quota is None else min(bound_cores(), max(1, math.ceil(quota)))


def bound_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPU seconds a second that Linux control groups allow this process; None where there is no limit.

    Args:
        groups: lists the groups of the process.
        mount: where the groups' files are.
    """
    try:
        lines = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    quotas = []
    for _, controllers, group in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / controllers
        place = root / group.lstrip("/")
        for folder in (place, *place.parents):  # the least of a group and those above it counts
            if not folder.is_relative_to(root):
                break
            quotas += [_quota_in(folder)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_in(folder: Path) -> float | None:
    """The quota of one group, of either version of control groups."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # no such file, or no limit: "max"
            quota, period = " ".join((folder / name).read_text(encoding="utf-8") for name in names).split()
            if float(quota) > 0 and float(period) > 0:
                return float(quota) / float(period)
    return None


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
        with suppress(PackageNotFoundError):
            found[name] = version(name)
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
