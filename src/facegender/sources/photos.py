"""From the arguments of a command to its photos, and samples of them."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facegender.errors import InputError
from facegender.sources import remote
from facegender.sources.manifests import MANIFEST_SUFFIXES, lines, photos_listed
from facegender.sources.patterns import expand_ranges, files_matching, is_pattern
from facegender.sources.source import SUFFIXES, LocalFile, Source, Unreadable
from facegender.sources.tars import TAR_SUFFIXES, is_compressed, photos_in_tar
from facegender.sources.zips import photos_in_zip

ZIP_SUFFIX = ".zip"


class _UncountedError(Exception):
    """How many photos there are is not known without reading or fetching them."""


@dataclass(frozen=True)
class Photos:
    """The photos that arguments name: listed afresh each time, one by one, in the same order.

    Attributes:
        arguments: as `find_photos` takes them, with what a list on standard input named.
        recursive: also look in folders of folders.
        skip: paths found in folders and by patterns that are to be passed over.
        empty: the arguments that have no photos.
    """

    arguments: tuple[str, ...]
    recursive: bool
    skip: Callable[[str], bool] | None
    empty: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Source]:
        return (source for argument in self.arguments for source in self._sources(argument))

    def count(self) -> int | None:
        """How many there are now, by listing them; None where that would mean reading an archive or asking a server."""
        try:
            return sum(1 for argument in self.arguments for _ in self._sources(argument, counting=True))
        except _UncountedError:
            return None

    def has_any(self, argument: str) -> bool:
        """Whether an argument has photos."""
        with closing(self._sources(argument)) as sources:
            return next(sources, None) is not None

    def _sources(self, argument: str, *, counting: bool = False) -> Generator[Source, None, None]:
        for text in expand_ranges(argument) if not os.path.lexists(argument) else [argument]:
            if remote.is_url(text):
                yield from self._at_url(text, counting)
            elif _is_folder(text):
                yield from (LocalFile(path, path) for path in self._photos_in(text))
            elif is_pattern(text) and not os.path.lexists(text):
                for path in files_matching(text):
                    if self._is_meant(text, path):
                        yield from _in_file(path, counting)
            else:
                yield from _in_file(text, counting)

    def _at_url(self, url: str, counting: bool) -> Iterator[Source]:
        remote.check_protocol(url)
        path = remote.url_path(url)
        if "*" in path:
            if counting:
                raise _UncountedError
            try:
                for found in remote.files_matching(url):
                    if self._is_meant(path, found):
                        yield from _in_remote_file(found, counting)
            except Exception as error:  # whatever its file system raises
                yield Unreadable.of(url, error)
        elif path.endswith("/"):
            if counting:
                raise _UncountedError
            yield from remote.photos_at(url, self.recursive)
        else:
            yield from _in_remote_file(url, counting)

    def _is_meant(self, pattern: str, path: str) -> bool:
        """Whether a file that matches is wanted: with a pattern for names of any suffix, only photos and archives."""
        suffix = PurePosixPath(pattern).suffix
        any_suffix = not suffix or is_pattern(suffix)
        lower = path.lower()
        known = lower.endswith((*TAR_SUFFIXES, ZIP_SUFFIX)) or PurePosixPath(lower).suffix in SUFFIXES
        return (known or not any_suffix) and not (self.skip and self.skip(path))

    def _photos_in(self, folder: str) -> Iterator[str]:
        """The photos of a folder in the order of their names; hidden files and folders are passed over.

        A folder that cannot be listed stands in for its photos: reading it will say what is wrong with it.
        """
        refused: list[str] = []
        for place, folders, files in os.walk(folder, onerror=lambda error: refused.append(error.filename)):
            folders[:] = sorted(name for name in folders if not name.startswith(".")) if self.recursive else []
            files.sort()
            for name in files:
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                    path = str(Path(place, name))
                    if not (self.skip and self.skip(path)):
                        yield path
        yield from refused


def find_photos(
    arguments: Sequence[str], *, recursive: bool = False, skip: Callable[[str], bool] | None = None
) -> Photos:
    """Find out which photos are meant.

    Args:
        arguments: photos; folders; patterns (``photos/**/*.jpg``, ``shard-{000..099}.tar``); lists (text with a path a
            line, CSV, TSV or Parquet with a column ``path``); tar and zip archives; URLs of all these but zip; ``-``
            for arguments on standard input, a line each. Whatever is none of these is taken for a photo.
        recursive: also look in folders of folders.
        skip: told the path of a photo found in a folder or by a pattern, whether it is to be passed over.

    Raises:
        InputError: there are no photos, a table has no column ``path``, or a URL cannot be served.
        MissingExtraError: a package for a kind of storage or list is not installed.
    """
    given: list[str] = []
    for argument in arguments:
        given.extend((line for line in lines(sys.stdin.buffer) if line.strip()) if argument == "-" else [argument])
    photos = Photos(tuple(given), recursive, skip)
    empty = tuple(argument for argument in given if not photos.has_any(argument))
    if len(empty) == len(given):
        remedy = "--recursive looks in folders of folders" if not recursive and any(map(_is_folder, empty)) else None
        raise InputError(f"no photos in {', '.join(empty)}" if empty else "no photos were named", remedy=remedy)
    return Photos(photos.arguments, recursive, skip, empty)


@dataclass(frozen=True)
class Sample:
    """Some of the photos, in their order; listed afresh each time.

    Attributes:
        photos: all of them.
        drawn: the numbers of those that were drawn, from 0, ascending.
    """

    photos: Photos
    drawn: tuple[int, ...]

    def __iter__(self) -> Iterator[Source]:
        wanted = iter(self.drawn)
        next_one = next(wanted, None)
        for number, source in enumerate(self.photos):
            if next_one is None:
                return
            if number == next_one:
                yield source
                next_one = next(wanted, None)

    def count(self) -> int:
        """How many were drawn."""
        return len(self.drawn)


def sample(photos: Photos, n: int, seed: int) -> tuple[Sample, int]:
    """Draw `n` photos (all, if there are fewer), each as likely as the others, none twice.

    Returns:
        The sample, and how many photos there are; to know that, all are listed once.
    """
    count = photos.count()
    population = sum(1 for _ in photos) if count is None else count
    drawn = random.Random(seed).sample(range(population), min(n, population))
    return Sample(photos, tuple(sorted(drawn))), population


def _in_file(path: str, counting: bool) -> Iterator[Source]:
    """What a path means that is no folder."""
    lower = path.lower()
    special = lower.endswith((*TAR_SUFFIXES, ZIP_SUFFIX, *MANIFEST_SUFFIXES))
    if not special or not _is_regular(path):
        yield LocalFile(path, path)
    elif lower.endswith(ZIP_SUFFIX):
        yield from photos_in_zip(path)
    elif lower.endswith(MANIFEST_SUFFIXES):
        yield from photos_listed(path)
    elif counting and is_compressed(path):
        raise _UncountedError
    else:
        yield from photos_in_tar(path)


def _in_remote_file(url: str, counting: bool) -> Iterator[Source]:
    lower = remote.url_path(url).lower()
    if lower.endswith(ZIP_SUFFIX):
        raise InputError(f"{url}: a zip archive has its directory at its end", remedy="fetch it, or use tar")
    if not lower.endswith((*TAR_SUFFIXES, *MANIFEST_SUFFIXES)):
        yield remote.Remote(url, url)
    elif counting:
        raise _UncountedError
    elif lower.endswith(MANIFEST_SUFFIXES):
        yield from photos_listed(url)
    else:
        yield from photos_in_tar(url)


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # not allowed to look, too long a name: the photo's own error will say so
        return False


def _is_regular(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
