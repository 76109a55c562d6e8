"""From the arguments of a command to its photos, and samples of them."""

from __future__ import annotations

import io
import os
import random
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from facegender.errors import InputError
from facegender.sources import remote
from facegender.sources.kinds import HEAD_BYTES, Kind, PassedOver, is_photo_data, is_photo_file, kind_of
from facegender.sources.manifests import MANIFEST_SUFFIXES, is_list, is_text, lines, photos_listed
from facegender.sources.patterns import expand_ranges, files_matching, is_pattern
from facegender.sources.source import MAX_BYTES, InMemory, LocalFile, Source, Unreadable
from facegender.sources.tars import TAR_SUFFIXES, is_compressed, photos_in_tar
from facegender.sources.zips import photos_in_zip

ZIP_SUFFIX = ".zip"


class _UncountedError(Exception):
    """How many photos there are is not known without reading or fetching them."""


@dataclass(frozen=True)
class Photos:
    """The photos that arguments name: listed again each time, one by one, in the same order.

    Attributes:
        arguments: as `find_photos` takes them, with what a list on standard input named, or the photo that was there.
        recursive: also search subfolders.
        skip: paths found in folders and by patterns that are to be passed over.
        empty: the arguments that have no photos.
        passed_over: files that the last listing which came to its end did not take for photos.
    """

    arguments: tuple[str | InMemory, ...]
    recursive: bool
    skip: Callable[[str], bool] | None
    empty: tuple[str, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver, compare=False)

    def __iter__(self) -> Iterator[Source]:
        return self._all(counting=False)

    def _all(self, *, counting: bool) -> Iterator[Source]:
        passed = PassedOver()
        for argument in self.arguments:
            yield from self._sources(argument, passed, counting=counting)
        self.passed_over.suffixes, self.passed_over.kinds = passed.suffixes, passed.kinds

    def count(self) -> int | None:
        """How many there are now, by listing them; None where that would mean reading an archive or asking a server."""
        try:
            return sum(1 for _ in self._all(counting=True))
        except _UncountedError:
            return None

    def has_any(self, argument: str | InMemory, passed: PassedOver | None = None) -> bool:
        """Whether an argument has photos; what comes before the first is counted in `passed`."""
        with closing(self._sources(argument, PassedOver() if passed is None else passed)) as sources:
            return next(sources, None) is not None

    def _sources(
        self, argument: str | InMemory, passed: PassedOver, *, counting: bool = False
    ) -> Generator[Source, None, None]:
        if isinstance(argument, InMemory):
            yield argument
            return
        for text in expand_ranges(argument) if not os.path.lexists(argument) else [argument]:
            if remote.is_url(text):
                yield from self._at_url(text, passed, counting)
            elif os.path.isdir(text):  # noqa: PTH112 (False where it may not be looked at: reading it says why)
                yield from (LocalFile(path, path) for path in self._photos_in(text, passed))
            elif is_pattern(text) and not os.path.lexists(text):
                for path in files_matching(text):
                    if self._is_meant(text, path, passed):
                        yield from _in_file(path, passed, counting)
            else:
                yield from _in_file(text, passed, counting)

    def _at_url(self, url: str, passed: PassedOver, counting: bool) -> Iterator[Source]:
        remote.check_protocol(url)
        path = remote.url_path(url)
        if "*" in path:
            if counting:
                raise _UncountedError
            try:
                matching = list(remote.files_matching(url))
            except Exception as error:  # whatever its file system raises
                yield Unreadable.of(url, error)
                return
            for found in matching:
                if self._is_meant(path, found, passed):
                    try:
                        yield from _in_remote_file(found, passed, counting)
                    except InputError as error:  # a zip file, or a table without paths; the next may be served
                        yield Unreadable.of(found, error)
        elif path.endswith("/"):
            if counting:
                raise _UncountedError
            yield from remote.photos_at(url, self.recursive, passed)
        else:
            yield from _in_remote_file(url, passed, counting)

    def _is_meant(self, pattern: str, path: str, passed: PassedOver) -> bool:
        """Whether a file that matches is wanted: with a pattern for names of any suffix, only photos and archives."""
        suffix = PurePosixPath(pattern).suffix
        any_suffix = not suffix or is_pattern(suffix)
        archive = path.lower().endswith((*TAR_SUFFIXES, ZIP_SUFFIX))
        if any_suffix and not archive and not is_photo_file(Path(path)):
            passed.add(path)
            return False
        return not self._is_skipped(path, passed)

    def _is_skipped(self, path: str, passed: PassedOver) -> bool:
        skipped = self.skip is not None and self.skip(path)
        passed.kinds.update({"made by facegender": 1} if skipped else {})
        return skipped

    def _photos_in(self, folder: str, passed: PassedOver) -> Iterator[str]:
        """The photos of a folder in the order of their names; hidden files and folders are passed over.

        A folder that cannot be listed stands in for its photos: reading it will say what is wrong with it.
        """
        refused: list[str] = []
        for place, folders, files in os.walk(folder, onerror=lambda error: refused.append(error.filename)):
            visible = sorted(name for name in folders if not name.startswith("."))
            folders[:] = visible if self.recursive else []
            links = sum(Path(place, name).is_symlink() for name in folders)  # os.walk does not follow them
            passed.kinds.update({"linked folders": links} if links else {})
            files.sort()
            for name in files:
                path = Path(place, name)
                if name.startswith(".") or not is_photo_file(path):
                    passed.add(name)
                elif not self._is_skipped(str(path), passed):
                    yield str(path)
        yield from refused


def find_photos(
    arguments: Sequence[str], *, recursive: bool = False, skip: Callable[[str], bool] | None = None
) -> Photos:
    """Find out which photos are meant.

    Args:
        arguments: photos; folders; patterns (``photos/**/*.jpg``, ``shard-{000..099}.tar``); lists (text with a path a
            line, CSV, TSV or Parquet with a column ``path``); tar and zip archives; URLs of all these but zip; ``-``
            for standard input: a photo, or arguments, a line each or separated by NUL. Whatever is none of these is
            taken for a photo.
        skip: whether a photo found in a folder or by a pattern is left out; takes its path.

    Raises:
        InputError: there are no photos, a table has no column ``path``, or a URL cannot be served.
        MissingExtraError: a package for a kind of storage or list is not installed.
    """
    given: list[str | InMemory] = []
    for argument in arguments:
        given.extend(_standard_input() if argument == "-" else [argument])
    photos = Photos(tuple(given), recursive, skip)
    passed = PassedOver()
    empty = tuple(each for each in given if isinstance(each, str) and not photos.has_any(each, passed))
    if len(empty) == len(given):
        deeper = not recursive and any(map(_has_folders, empty))
        remedy = "--recursive, in Python recursive=True, searches subfolders" if deeper else None
        message = "; ".join(why_empty(empty)) or "no photos were named"
        raise InputError(f"{message}: {passed}" if passed else message, remedy=remedy)
    return replace(photos, empty=empty)


def why_empty(arguments: Sequence[str]) -> list[str]:
    """What is said of arguments that have no photos: one sentence without its end for each kind."""
    unmatched = [each for each in arguments if _matches_nothing(each)]
    hollow = [each for each in arguments if os.path.isdir(each) and not os.listdir(each)]  # noqa: PTH112, PTH208
    others = [each for each in arguments if each not in unmatched and each not in hollow]
    return [
        *([f"no file matches {', '.join(unmatched)}"] if unmatched else []),
        *(f"{folder} holds no files" for folder in hollow),
        *([f"no photos in {', '.join(others)}"] if others else []),
    ]


@dataclass
class Sample:
    """Some of the photos, in their order; listed again each time.

    Attributes:
        photos: all of them.
        drawn: the numbers of those that are wanted, from 0, ascending.
        goes_on: whether the last listing which came to its end saw photos after those that are wanted.
    """

    photos: Photos
    drawn: Sequence[int]
    goes_on: bool = False

    def __iter__(self) -> Iterator[Source]:
        wanted = iter(self.drawn)
        next_one = next(wanted, None)
        for number, source in enumerate(self.photos):
            if next_one is None:
                self.goes_on = True
                return
            if number == next_one:
                yield source
                next_one = next(wanted, None)
        self.goes_on = False

    @property
    def passed_over(self) -> PassedOver:
        """Files that were not taken for photos when all were listed."""
        return self.photos.passed_over

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


def first(photos: Photos, n: int) -> tuple[Sample, int | None]:
    """The first `n` photos in the order of their listing.

    Returns:
        These, and how many they are; None where only listing them would tell.
    """
    count = photos.count()
    taken = n if count is None else min(n, count)
    return Sample(photos, range(taken)), None if count is None else taken


def _standard_input() -> Iterator[str | InMemory]:
    """What standard input holds: a photo, or arguments, a line each or separated by NUL.

    Raises:
        InputError: it is a video, an archive, other data that is no list, or a photo of more than `MAX_BYTES`.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed", remedy="give photos by their names")
    stream = sys.stdin.buffer
    head = stream.read(HEAD_BYTES)
    kind = Kind.PHOTO if is_photo_data(head) else kind_of(head)
    if kind in (Kind.VIDEO, Kind.ARCHIVE):
        what = "a video" if kind is Kind.VIDEO else "an archive"
        raise InputError(f"{what} cannot be read from standard input", remedy="save it to a file, and name that")
    if kind is Kind.PHOTO:
        data = head + stream.read(MAX_BYTES)
        if len(data) > MAX_BYTES:
            raise InputError(f"the photo on standard input has more than {MAX_BYTES} bytes", remedy="save it to a file")
        yield InMemory("-", data)
        return
    data = head + stream.read()
    if not is_text(data):
        raise InputError("standard input holds neither a photo of a known kind nor a list", remedy="name the file")
    yield from lines(io.BytesIO(data))


def _in_file(path: str, passed: PassedOver, counting: bool) -> Iterator[Source]:
    """What a path means that is no folder."""
    lower = path.lower()
    special = lower.endswith((*TAR_SUFFIXES, ZIP_SUFFIX, *MANIFEST_SUFFIXES))
    if not special or not os.path.isfile(path):  # noqa: PTH113 (False also for names that are too long)
        yield LocalFile(path, path)
    elif lower.endswith(ZIP_SUFFIX):
        yield from photos_in_zip(path, passed)
    elif lower.endswith(MANIFEST_SUFFIXES):
        if is_list(path):
            yield from photos_listed(path)
    elif counting and is_compressed(path):
        raise _UncountedError
    else:
        yield from photos_in_tar(path, passed)


def _in_remote_file(url: str, passed: PassedOver, counting: bool) -> Iterator[Source]:
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
        yield from photos_in_tar(url, passed)


def _matches_nothing(text: str) -> bool:
    is_local_pattern = is_pattern(text) and not remote.is_url(text) and not os.path.lexists(text)
    return is_local_pattern and not any(any(files_matching(each)) for each in expand_ranges(text))


def _has_folders(path: str) -> bool:
    """Whether a folder has folders in which photos may be."""
    return os.path.isdir(path) and any(  # noqa: PTH112
        each.is_dir() for each in Path(path).iterdir() if not each.name.startswith(".")
    )
