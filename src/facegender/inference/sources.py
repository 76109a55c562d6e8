"""Where photos come from: files, folders, globs, lists, archives and URLs.

The main process lists photos and worker processes read them, so a `Source` is small, can be sent anywhere, and is read
by itself. Only what can be read in one way, from front to back, is read while it is listed: its bytes travel along.
"""

from __future__ import annotations

import csv
import functools
import glob
import itertools
import lzma
import os
import random
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from facegender.errors import (
    InputError,
    MissingExtraError,
    NotAnImageError,
    PhotoNotFoundError,
    PhotoPermissionError,
    PhotoReadError,
    TruncatedImageError,
)
from facegender.inference.writers import require_pyarrow

#: Inside folders and archives, other files are passed over.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff", ".bmp"}
    | {".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".avifs", ".heic", ".heif"}
)

#: Larger members of archives and answers of servers are no photos but an attack on the memory.
MAX_BYTES = 512 * 1024 * 1024
#: Seconds without an answer after which a server is given up.
URL_TIMEOUT = 30.0

_TAR = re.compile(r"\.(tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)$", re.IGNORECASE)
_URL = re.compile(r"^[a-z][a-z0-9+]+://", re.IGNORECASE)
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LISTS = (".txt", ".lst", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class Source:
    """A photo, and how it is read.

    Attributes:
        name: what results call it.
        place: path of the file, or of the archive; or a URL.
        member: of an archive: the bytes from an offset on, so many; or a name within a zip archive.
        content: the bytes of the photo, where they travel along.
        error: what stands in for a photo that could not even be listed: kind and message.
    """

    name: str
    place: str = ""
    member: tuple[int, int] | str | None = None
    content: bytes | None = None
    error: PhotoReadError | None = None

    @classmethod
    def file(cls, path: str) -> Source:
        """A file or URL that is called by its path."""
        return cls(path, path)

    @property
    def is_remote(self) -> bool:
        """Whether reading it is mostly waiting."""
        return self.content is None and _URL.match(self.place) is not None


def read(source: Source) -> str | bytes:
    """The path of a file on this machine, or the bytes of any other photo.

    Raises:
        PhotoReadError: its subclasses as for `facegender.faces.decode.decode`; a file is opened only there.
    """
    if source.error is not None:
        raise source.error
    if source.content is not None:
        return source.content
    if source.is_remote:
        return _fetched(source)
    if source.member is None:
        return source.place
    with _read_errors(source.name):
        if isinstance(source.member, str):
            return _inflated(source, source.member)
        offset, size = source.member
        _check_size(source.name, size)
        with Path(source.place).open("rb") as file:
            file.seek(offset)
            content = file.read(size)
        if len(content) < size:
            raise TruncatedImageError(f"{source.name} is cut short: its archive ends")
        return content


@contextmanager
def _read_errors(name: str) -> Iterator[None]:
    try:
        yield
    except PhotoReadError:
        raise
    except FileNotFoundError as error:
        raise PhotoNotFoundError(f"no such file: {name}") from error
    except PermissionError as error:
        raise PhotoPermissionError(f"no permission to read {name}") from error
    except Exception as error:  # archives, servers and their libraries know many
        raise PhotoReadError(f"cannot read {name}: {type(error).__name__}: {error}") from error


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise NotAnImageError(f"{name} has {size} bytes, above the limit of {MAX_BYTES}")


def _fetched(source: Source) -> bytes:
    with _read_errors(source.name), _opened_url(source.place) as file:
        content: bytes = file.read(MAX_BYTES + 1)
    _check_size(source.name, len(content))
    return content


def _opened_url(url: str) -> Any:
    """A file object; errors are of the kind that the protocol's package knows."""
    fsspec = _require_fsspec(url)
    options: dict[str, Any] = {}
    if url.startswith(("http://", "https://")):
        import aiohttp

        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(sock_connect=URL_TIMEOUT, sock_read=URL_TIMEOUT)}
        options["block_size"] = 0  # in one piece, from servers that know no ranges too
    return fsspec.open(url, "rb", **options)


def _require_fsspec(url: str) -> Any:
    protocol = url.split("://", 1)[0].lower()
    try:
        import fsspec

        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        packages = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
        raise MissingExtraError(packages.get(protocol, "fsspec"), "remote") from error
    except ValueError as error:
        raise InputError(f"{url} cannot be opened: {error}") from error
    return fsspec


@lru_cache(maxsize=8)
def _archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _inflated(source: Source, member: str) -> bytes:
    try:
        info = _archive(source.place).getinfo(member)
        _check_size(source.name, info.file_size)
        with _archive(source.place).open(info) as file:
            return file.read(MAX_BYTES)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise TruncatedImageError(f"{source.name} is damaged in its archive: {error}") from error
    except KeyError as error:
        raise PhotoNotFoundError(f"no such file: {source.name}") from error
    except RuntimeError as error:  # it is encrypted
        raise PhotoReadError(f"cannot read {source.name}: {error}") from error


@dataclass(frozen=True)
class Photos:
    """Photos that can be listed again and again, each time afresh and one by one.

    Attributes:
        listers: of their parts.
        empty: arguments that mean no photo.
        costly: whether to list them is to read some of them.
    """

    listers: Sequence[Callable[[], Iterator[Source]]]
    empty: Sequence[str]
    costly: bool

    def __iter__(self) -> Iterator[Source]:
        return itertools.chain.from_iterable(lister() for lister in self.listers)

    def count(self) -> int | None:
        """How many they are; None where they would have to be read for it."""
        return None if self.costly else sum(1 for _ in self)


def find_photos(
    arguments: Sequence[str], *, recursive: bool = False, skip: Callable[[str], bool] = lambda path: False
) -> Photos:
    """The photos that the arguments of a command line mean.

    Args:
        arguments: files; folders; globs, in which ``**`` stands for folders of folders and ``{000..099}`` for numbers;
            lists (``.txt``, ``.lst``; ``.csv``, ``.tsv`` and ``.parquet`` with a column ``path``), whose paths start
            from their own folder; tar and zip archives; URLs; and ``-`` for a list on standard input.
        recursive: also look in folders of folders.
        skip: tells files found in folders that are to be passed over.

    Raises:
        InputError: there are none, or a list cannot be read.
        MissingExtraError: a URL without fsspec, or a Parquet list without pyarrow.
    """
    finder = _Finder(recursive, skip)
    listers, empty, costly = [], [], False
    for argument in itertools.chain.from_iterable(map(_expanded, arguments)):
        lister = finder.lister(argument)
        if next(lister(), None) is None:
            empty.append(argument)
        else:
            listers.append(lister)
            costly |= _TAR.search(argument) is not None and (_is_url(argument) or not argument.lower().endswith(".tar"))
    if not listers:
        named = [argument for argument in empty if argument != "-"]
        if not named:
            raise InputError("no photos were named")
        raise InputError(
            f"no photos in {', '.join(named)}", remedy=None if recursive else "--recursive looks in folders of folders"
        )
    return Photos(listers, empty, costly)


def sample(photos: Iterable[Source], size: int, seed: int) -> tuple[list[Source], int]:
    """A random sample without replacement, every photo being as likely, in the photos' order; and of how many.

    J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985, algorithm R.
    """
    generator = random.Random(seed)
    drawn: list[tuple[int, Source]] = []
    population = 0
    for number, source in enumerate(photos):
        population += 1
        if number < size:
            drawn.append((number, source))
        elif (place := generator.randrange(population)) < size:
            drawn[place] = number, source
    return [source for _, source in sorted(drawn, key=lambda pair: pair[0])], population


def _is_url(path: str) -> bool:
    return _URL.match(path) is not None


def _is_photo(name: str) -> bool:
    base = name.rsplit("/", 1)[-1]
    return os.path.splitext(base)[1].lower() in SUFFIXES and not base.startswith(".")  # noqa: PTH122 (of a million)


def _expanded(argument: str) -> Iterator[str]:
    """``shard-{08..10}.tar`` as shard-08.tar, shard-09.tar, shard-10.tar."""
    found = _BRACES.search(argument)
    if found is None:
        yield argument
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{argument[: found.start()]}{number:0{len(first)}d}{argument[found.end() :]}")


@dataclass(frozen=True)
class _Finder:
    """Finds the photos of one argument, however it is to be understood."""

    recursive: bool
    skip: Callable[[str], bool]

    def lister(self, argument: str) -> Callable[[], Iterator[Source]]:
        if argument == "-":
            lines = [os.fsdecode(line).rstrip("\r\n") for line in sys.stdin.buffer]
            return functools.partial(self._listed, [line for line in lines if line.strip()], "")
        suffix = Path(argument).suffix.lower()
        if suffix in _LISTS and not _is_url(argument) and Path(argument).is_file():
            read_list = {".csv": _csv_paths, ".tsv": _csv_paths, ".parquet": _parquet_paths}.get(suffix, _text_paths)
            folder = str(Path(argument).parent)
            return lambda: self._listed(read_list(argument), folder)
        if glob.has_magic(argument) and not _exists(argument):
            return lambda: self._globbed(argument)
        return lambda: self._of_path(argument, argument)

    def _listed(self, names: Iterable[str], folder: str) -> Iterator[Source]:
        for name in names:
            yield from self._of_path(name, name if _is_url(name) else os.path.join(folder, name))  # noqa: PTH118

    def _globbed(self, pattern: str) -> Iterator[Source]:
        if _is_url(pattern):
            yield from (Source.file(url) for url in _remote_files(pattern) if _is_photo(url))
            return
        for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 (keeps the pattern's own spelling)
            if not self.skip(path):
                yield from self._of_path(path, path)

    def _of_path(self, name: str, place: str) -> Iterator[Source]:
        if _is_url(place):
            if _TAR.search(place):
                yield from _streamed(name, lambda: _opened_url(place).open())
            elif place.endswith("/"):
                yield from (Source.file(url) for url in _remote_files(place) if _is_photo(url))
            else:
                _require_fsspec(place)
                yield Source(name, place)
        elif _is_folder(place):
            yield from self._in_folder(name, place)
        elif place.lower().endswith(".tar"):
            yield from _in_tar(name, place)
        elif _TAR.search(place):
            yield from _streamed(name, lambda: _opened_file(place))
        elif place.lower().endswith(".zip"):
            yield from _in_zip(name, place)
        else:
            yield Source(name, place)

    def _in_folder(self, name: str, place: str) -> Iterator[Source]:
        """The photos of a folder in the order of their names; hidden files and folders are passed over.

        A folder that cannot be listed stands in for its photos: reading it will say what is wrong with it.
        """
        refused: list[str] = []
        for folder, folders, files in os.walk(place, onerror=lambda error: refused.append(error.filename)):
            folders[:] = sorted(each for each in folders if not each.startswith(".")) if self.recursive else []
            for file in sorted(filter(_is_photo, files)):
                path = os.path.join(folder, file)  # noqa: PTH118
                if not self.skip(path):
                    yield Source(name + path.removeprefix(place), path)
        yield from (Source(name + path.removeprefix(place), path) for path in refused)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # not allowed to look, or no name that files have: reading it will say so
        return False


def _remote_files(pattern: str) -> Iterator[str]:
    """The URLs that a pattern with wildcards, or a folder, means."""
    store, root = _require_fsspec(pattern).url_to_fs(pattern)
    paths = store.glob(root) if glob.has_magic(pattern) else store.find(root)
    yield from (store.unstrip_protocol(path) for path in sorted(paths))


@contextmanager
def _list_errors(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"the list {path} cannot be read: {reason}") from error


def _text_paths(path: str) -> Iterator[str]:
    with _list_errors(path), Path(path).open("rb") as lines:
        yield from (os.fsdecode(line).rstrip("\r\n") for line in lines if line.strip())


def _csv_paths(path: str) -> Iterator[str]:
    delimiter = "\t" if path.lower().endswith(".tsv") else ","
    with _list_errors(path), Path(path).open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, delimiter=delimiter)
        _check_columns(path, rows.fieldnames or ())
        yield from (row["path"] for row in rows if row["path"])


def _parquet_paths(path: str) -> Iterator[str]:
    arrow = require_pyarrow()
    try:
        with _list_errors(path), arrow.parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(columns=["path"]):
                yield from (each for each in batch["path"].to_pylist() if each)
    except arrow.ArrowInvalid as error:
        raise InputError(f"the list {path} cannot be read: {error}") from error


def _check_columns(path: str, columns: Iterable[str]) -> None:
    if "path" not in columns:
        raise InputError(f"the list {path} has no column `path`, but {', '.join(columns) or 'nothing'}")


def _in_tar(name: str, place: str) -> Iterator[Source]:
    """The photos of a tar archive, by their places in it."""
    with _damage(name) as damage, tarfile.open(place, "r:") as archive:
        for member in _members(archive):
            yield Source(f"{name}/{member.name}", place, (member.offset_data, member.size))
    yield from damage


def _streamed(name: str, opened: Callable[[], IO[bytes]]) -> Iterator[Source]:
    """The photos of a tar archive that is read from front to back, with their bytes."""
    with _damage(name) as damage, opened() as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in _members(archive):
            within = f"{name}/{member.name}"
            if member.size > MAX_BYTES:
                yield Source(within, member=(0, member.size))
                continue
            content = archive.extractfile(member)
            yield Source(within, content=b"" if content is None else content.read())
    yield from damage


def _opened_file(path: str) -> IO[bytes]:
    return Path(path).open("rb")


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        if member.isfile() and _is_photo(member.name):
            yield member
        archive.members = []  # type: ignore[attr-defined] # it would keep them all


def _in_zip(name: str, place: str) -> Iterator[Source]:
    with _damage(name) as damage, zipfile.ZipFile(place) as archive:
        for info in archive.infolist():
            if not info.is_dir() and _is_photo(info.filename):
                yield Source(f"{name}/{info.filename}", place, info.filename)
    yield from damage


@contextmanager
def _damage(name: str) -> Iterator[list[Source]]:
    """What is wrong with an archive, as a source that tells it; the photos before the damage are listed."""
    found: list[Source] = []
    try:
        with _read_errors(name):
            try:
                yield found
            except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
                raise TruncatedImageError(f"the archive {name} is cut short or damaged: {error}") from error
    except PhotoReadError as error:
        found.append(Source(name, error=error))
