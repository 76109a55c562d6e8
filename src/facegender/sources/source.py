"""One photo as it is listed: small, picklable, and readable by itself in any process."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from facegender.errors import ByteLimitError, FacegenderError, NotAnImageError, PhotoReadError, TruncatedImageError
from facegender.faces.decode import DEFAULT_MAX_PIXELS, as_photo_error

#: Files from archives and URLs are held in memory; larger ones are refused. The largest photo that is read by
#: default, without compression, and room for its metadata.
MAX_BYTES = 3 * DEFAULT_MAX_PIXELS + 40_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells without reading whether a photo has changed.

    Attributes:
        place: absolute path of the local file that is the photo, or the archive that holds it; two that differ in no
            more than this are equal.
        size: of the photo in bytes.
        version: time of the file's last change in nanoseconds; of a member of a zip archive its CRC-32.
    """

    place: str = field(compare=False)
    size: int
    version: int


@dataclass(frozen=True, slots=True)
class Source(ABC):
    """A photo and where its bytes are.

    Attributes:
        name: what results call the photo.
    """

    name: str

    @classmethod
    def file(cls, name: str, path: str | None = None) -> Source:
        """A local file; `path` where it lies under another path than its name."""
        return LocalFile(name, name if path is None else path)

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of memory that it takes once it is read, as far as that is known; 0 for a local file."""
        return 0

    def stamp(self) -> Stamp | None:
        """What it is now, without reading it; None where that cannot be had: for what lies elsewhere, or is gone."""
        return None

    @abstractmethod
    def load(self) -> str | Path | bytes:
        """The path of the file or its bytes; `read` is the way that turns all that goes wrong into errors of ours."""


def read(source: Source) -> str | Path | bytes:
    """What `facegender.faces.decode.decode_reduced` takes: a local file's path, of all else the bytes.

    Raises:
        PhotoNotFoundError: it is not there any more, or the server has none.
        PhotoPermissionError: it may not be read, or is encrypted.
        TruncatedImageError: the archive is damaged where it lies.
        ByteLimitError: it has more than `MAX_BYTES`.
        PhotoReadError: the disk or the network failed, an answer took too long, or a package is missing.
    """
    try:
        return source.load()
    except PhotoReadError:
        raise
    except Exception as error:  # file systems of other packages raise what they like
        raise as_photo_error(source.name, error) from error


def content_digest(photo: str | Path | bytes) -> str | None:
    """The SHA-256 of a photo as `read` gives it, in hexadecimal digits; None where the file cannot be read."""
    if isinstance(photo, bytes):
        return hashlib.sha256(photo).hexdigest()
    try:
        if not Path(photo).is_file():  # a pipe would be waited for
            return None
        with Path(photo).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def stamp_of(path: str, size: int | None = None, version: int | None = None) -> Stamp | None:
    """The stamp of a local file; or, given its size, of what lies in it."""
    try:
        status = Path(path).stat()
        place = str(Path(path).absolute())
    except (OSError, ValueError):
        return None
    return Stamp(place, status.st_size if size is None else size, status.st_mtime_ns if version is None else version)


def refuse_above_limit(name: str, size: int) -> None:
    """Raise a ByteLimitError for a photo of more than `MAX_BYTES`."""
    if size > MAX_BYTES:
        raise ByteLimitError(f"{name} has {size} bytes, above the limit of {MAX_BYTES} outside of local files")


@dataclass(frozen=True, slots=True)
class LocalFile(Source):
    """A file of this machine."""

    path: str

    def stamp(self) -> Stamp | None:
        return stamp_of(self.path)

    def load(self) -> str:
        return self.path  # whoever decodes it reads no more than is needed


@dataclass(frozen=True, slots=True)
class ByteRange(Source):
    """A range of bytes of a local file: a member of a tar archive without compression."""

    archive: str
    offset: int
    size: int

    @property
    def bytes_in_memory(self) -> int:
        """Its size, unless that is refused."""
        return min(self.size, MAX_BYTES)

    def stamp(self) -> Stamp | None:
        """Of the member, with the time of the archive."""
        return stamp_of(self.archive, self.size)

    def load(self) -> bytes:
        refuse_above_limit(self.name, self.size)
        with Path(self.archive).open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise TruncatedImageError(f"{self.name} is cut short: the archive ends within it")
        return data


@dataclass(frozen=True, slots=True)
class InMemory(Source):
    """A photo with its bytes, for what can only be read from its beginning."""

    data: bytes

    @property
    def bytes_in_memory(self) -> int:
        return len(self.data)

    def load(self) -> bytes:
        return self.data


#: File systems raise the last four without a number, too.
_NO_DAMAGE = (FacegenderError, MemoryError, FileNotFoundError, NotADirectoryError, PermissionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Unreadable(Source):
    """Stands in for photos that cannot be had: reading it says what is wrong.

    Attributes:
        error: the class of the error.
        message: what it says.
    """

    error: type[PhotoReadError]
    message: str

    @classmethod
    def of(cls, name: str, error: Exception) -> Unreadable:
        """For what reading has raised."""
        known = as_photo_error(name, error)
        return cls(name, type(known), str(known))

    @classmethod
    def damaged(cls, name: str, error: Exception, *, begun: bool = True) -> Unreadable:
        """For what an archive or a list has raised; `begun`: after some of it had been read."""
        if isinstance(error, _NO_DAMAGE) or getattr(error, "errno", None) or getattr(error, "status", None):
            return cls.of(name, error)
        if begun:
            return cls(name, TruncatedImageError, f"{name} is cut short or damaged: {error or type(error).__name__}")
        return cls(name, NotAnImageError, f"{name} is not what its name says, or damaged from its start: {error}")

    def load(self) -> bytes:
        raise self.error(self.message)
