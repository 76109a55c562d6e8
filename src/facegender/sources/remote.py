"""Files at URLs, through fsspec: ``s3://``, ``gs://``, ``http(s)://`` and whatever else it knows."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast
from urllib.parse import urlsplit

from facegender.errors import InputError, MissingExtraError, needs
from facegender.sources.kinds import PassedOver, is_photo
from facegender.sources.source import MAX_BYTES, Source, Unreadable, refuse_above_limit

#: Seconds that a web server has for one photo, and between two pieces of an archive. Others have their package's.
TIMEOUT = 60.0

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class Remote(Source):
    """A file at a URL."""

    url: str

    def load(self) -> bytes:
        return fetch(self.name, self.url)


def is_remote(source: Source) -> bool:
    """Whether reading it is mostly waiting for a network."""
    return isinstance(source, Remote)


def is_url(text: str) -> bool:
    """Whether it names a place by a protocol."""
    return _URL.match(text) is not None


def url_path(url: str) -> str:
    """What a URL's suffix is to be read from: no query, no fragment."""
    return urlsplit(url).path if _protocol(url) in _WEB else url


def without_query(url: str) -> str:
    """A web URL without query and fragment, any other URL as it is."""
    return re.split("[?#]", url, maxsplit=1)[0] if _protocol(url) in _WEB else url


def check_protocol(url: str) -> None:
    """See to it that the packages which `url` needs are there.

    Raises:
        MissingExtraError: the package of the protocol, or fsspec itself, is not installed.
        InputError: there is no such protocol.
    """
    with needs("fsspec", "remote"):
        import fsspec
    protocol = _protocol(url)
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError:
        raise InputError(f"{url}: no protocol {protocol}:// is known") from None
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or protocol
        raise MissingExtraError(package.partition(".")[0], "remote") from error


@contextmanager
def open_url(url: str, *, seekable: bool = False) -> Iterator[io.BufferedReader]:
    """Open a file at a URL: one that is `seekable`, or to be read once, from its beginning.

    Raises:
        MissingExtraError, InputError: as for `check_protocol`.
        Exception: whatever the file system raises.
    """
    with _opened(url, stream=not seekable, sock_read=TIMEOUT) as file, io.BufferedReader(cast(Any, file)) as buffered:
        yield buffered


def fetch(name: str, url: str) -> bytes:
    """The bytes of a photo.

    Raises:
        ByteLimitError: more than `MAX_BYTES`.
        Exception: as for `open_url`.
    """
    with _opened(url, stream=True, total=TIMEOUT) as file:
        refuse_above_limit(name, getattr(file, "size", None) or 0)
        pieces, size = [], 0
        while piece := file.read(MAX_BYTES + 1 - size):
            pieces.append(piece)
            size += len(piece)
            refuse_above_limit(name, size)
    return b"".join(pieces)


def photos_at(url: str, recursive: bool, passed: PassedOver) -> Iterator[Source]:
    """The photos of a folder at a URL (it ends in ``/``), folder by folder in the order of their names.

    The other files are counted.
    """
    try:
        fs, place = _file_system(url, sock_read=TIMEOUT)
        for folder, folders, files in fs.walk(place, maxdepth=None if recursive else 1, on_error="raise"):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if is_photo(name):
                    at = _url_of(fs, f"{folder.rstrip('/')}/{name}")
                    yield Remote(at, at)
                else:
                    passed.add(name)
    except Exception as error:
        yield Unreadable.of(url, error)


def files_matching(url: str) -> Iterator[str]:
    """URLs of the files that match a pattern, sorted.

    Raises:
        Exception: whatever the file system raises.
    """
    fs, pattern = _file_system(url, sock_read=TIMEOUT)
    found = fs.glob(pattern, detail=True)
    return (_url_of(fs, path) for path in sorted(found) if found[path]["type"] == "file")


def _protocol(url: str) -> str:
    return url.partition("://")[0].rpartition("::")[2].lower()


def _url_of(fs: Any, path: str) -> str:
    return str(fs.unstrip_protocol(path))


def _opened(url: str, *, stream: bool, **timeout: float) -> AbstractContextManager[IO[bytes]]:
    fs, path = _file_system(url, **timeout)
    # Of the web one stream: asking for the size first would be a second request for each photo.
    options = {"block_size": 0, "size": 1} if stream and _protocol(url) in _WEB else {}
    file: AbstractContextManager[IO[bytes]] = fs.open(path, "rb", **options)
    return file


def _file_system(url: str, **timeout: float) -> tuple[Any, str]:
    """The file system of a URL, and what it calls the place."""
    check_protocol(url)
    import fsspec

    options = {}
    if _protocol(url) in _WEB:
        import aiohttp

        options["client_kwargs"] = {"timeout": aiohttp.ClientTimeout(sock_connect=TIMEOUT, **timeout)}
    fs, path = fsspec.core.url_to_fs(url, **options)
    return fs, path
