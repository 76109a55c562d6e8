"""From the arguments of a command to its videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import filterfalse
from pathlib import Path

from facegender.errors import InputError
from facegender.sources.kinds import is_video
from facegender.sources.patterns import files_matching, is_pattern
from facegender.sources.photos import Photos
from facegender.sources.remote import is_url


def find_videos(
    arguments: Sequence[str], *, recursive: bool = False, skip: Callable[[str], bool] | None = None
) -> tuple[str, ...]:
    """The videos that arguments name: files, folders that hold videos and no photos, and patterns.

    Args:
        skip: whether a video found in a folder or by a pattern is left out; takes its path.

    Returns:
        Paths, in order; empty where the arguments name photos. Videos beside photos in a folder are none of them.

    Raises:
        InputError: some arguments are videos by name, and others are photos.
    """
    skip = skip or (lambda path: False)
    videos: list[str] = []
    by_name = photos = ""
    for argument in arguments:
        exists = os.path.lexists(argument)
        if is_video(argument) and not os.path.isdir(argument):  # noqa: PTH112 (also for names that are too long)
            if is_url(argument):
                raise InputError(f"{argument}: videos are read from this machine only", remedy="download it first")
            by_name = by_name or argument
            pattern = is_pattern(argument) and not exists
            videos += filterfalse(skip, files_matching(argument)) if pattern else [argument]
        elif is_url(argument) or argument == "-" or Photos((argument,), recursive, None).has_any(argument):
            photos = photos or argument
        else:
            videos += filterfalse(skip, _videos_in(argument, recursive))
    if photos and by_name:
        raise InputError(f"give photos or videos, not both: {by_name} is a video, and {photos} names photos")
    return () if photos else tuple(videos)


def _videos_in(argument: str, recursive: bool) -> Iterator[str]:
    """The videos of a folder or pattern, in the order of their names."""
    if is_pattern(argument) and not os.path.lexists(argument):
        yield from filter(is_video, files_matching(argument))
        return
    for place, folders, files in os.walk(argument):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        yield from (str(Path(place, name)) for name in sorted(files) if is_video(name) and not name.startswith("."))
