"""Patterns as text, which the shell has not expanded: ``'photos/**/*.jpg'``, ``shard-{000..099}.tar``."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MAGIC = re.compile(r"[*?[]")


def is_pattern(text: str) -> bool:
    """Whether it holds one of the signs ``*``, ``?`` and ``[``."""
    return _MAGIC.search(text) is not None


def expand_ranges(text: str) -> Iterator[str]:
    """Every text that numeric braces stand for, as WebDataset writes and counts them: with leading zeros kept."""
    found = _RANGE.search(text)
    if found is None:
        yield text
        return
    first, last = found.groups()
    width = len(first) if first.startswith("0") or last.startswith("0") else 0
    for number in range(int(first), int(last) + 1):
        for rest in expand_ranges(text[found.end() :]):
            yield f"{text[: found.start()]}{number:0{width}d}{rest}"


def files_matching(pattern: str) -> Iterator[str]:
    """The files that match, folder by folder in the order of their names; ``**`` stands for any folders.

    Hidden files and folders match only where the pattern names the point. Not `glob.iglob`: its order is the disk's,
    and to sort it is to hold it. Folders that cannot be listed have no matches.
    """
    yield from _matches("", re.sub(r"(^|/)(\*\*/)+", r"\1**/", pattern).split("/"))


def _matches(place: str, parts: list[str]) -> Iterator[str]:
    part, *rest = parts
    if part == "**":
        yield from _matches(place, rest or ["*"])
        for name, is_link in _folders(place):
            if not is_link:
                yield from _matches(f"{place}{name}/", parts)
    elif not is_pattern(part):
        if rest:
            yield from _matches(f"{place}{part}/", rest)
        elif _is(Path(place, part).is_file):
            yield f"{place}{part}"
    elif rest:
        for name, _ in _folders(place, part):
            yield from _matches(f"{place}{name}/", rest)
    else:
        yield from (f"{place}{name}" for name, entry in _entries(place, part) if _is(entry.is_file))


def _is(test: Callable[[], bool]) -> bool:
    """What `test` says; False for a link in a circle, or below a folder that is closed."""
    try:
        return test()
    except OSError:
        return False


def _folders(place: str, pattern: str = "*") -> list[tuple[str, bool]]:
    return [(name, entry.is_symlink()) for name, entry in _entries(place, pattern) if _is(entry.is_dir)]


def _entries(place: str, pattern: str) -> list[tuple[str, os.DirEntry[str]]]:
    matches = re.compile(fnmatch.translate(pattern)).match
    try:
        with os.scandir(place or ".") as entries:
            found = [
                (entry.name, entry)
                for entry in entries
                if matches(entry.name) and (pattern.startswith(".") or not entry.name.startswith("."))
            ]
    except OSError:
        return []
    return sorted(found, key=lambda pair: pair[0])
