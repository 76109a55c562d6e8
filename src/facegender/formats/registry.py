"""The formats of result files. A format is one module of this package that registers itself."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, ClassVar, TypeVar

from facegender.errors import InputError
from facegender.formats.records import Record, Schema

#: Bytes of a file's start by which its format is recognized.
HEAD_BYTES = 4096


class Writer(AbstractContextManager["Writer"]):
    """A context manager that takes records and writes them in order; a stream stays open at its end."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Add one record; OSError or sqlite3.Error where the disk refuses."""

    def __exit__(self, *_: object) -> None:
        pass


class Format(ABC):
    """How records are stored in a file.

    Attributes:
        name: the value of ``--format``.
        title: the name of the format in messages.
        suffixes: of its files, lower case, with the point; the usual one first.
        magic: what its files begin with, where they begin alike.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    magic: ClassVar[bytes | None] = None

    def check(self) -> None:  # noqa: B027 (most formats need no package)
        """Raise MissingExtraError where a package that the format needs is not installed."""

    def recognizes(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes is in this format; False where the bytes cannot tell."""
        return self.magic is not None and head.startswith(self.magic)

    def stream_writer(self, stream: IO[str], schema: Schema) -> Writer | None:
        """A writer to a text stream that stays the caller's; None where the format needs a file.

        Each record reaches the stream at once.
        """
        return None

    @abstractmethod
    def writer(self, path: Path, schema: Schema) -> AbstractContextManager[Writer]:
        """A writer to a new file, which is closed with it."""

    @abstractmethod
    def rows(self, path: Path) -> Iterator[Record]:
        """The rows of a file, one a face, track or sighting, with all the columns that the file has.

        Columns that a schema knows have its types, and None where they are empty.

        Raises:
            OSError: the file cannot be read.
            ValueError, sqlite3.Error: it is damaged, or in another format.
        """

    def records(self, path: Path, schema: Schema) -> Iterator[Record]:
        """The records of a file, in order; what its rows do not hold (landmarks) is absent. Errors as for `rows`."""
        return schema.records(self.rows(path))


class StreamFormat(Format):
    """A format of text: a file is written as a stream is."""

    @abstractmethod
    def stream_writer(self, stream: IO[str], schema: Schema) -> Writer:
        """A writer to a text stream that stays the caller's; each record reaches it at once."""

    @contextmanager
    def writer(self, path: Path, schema: Schema) -> Iterator[Writer]:
        """A writer to a new file, which is closed with it."""
        with path.open("w", encoding="utf-8", newline="\n") as stream, self.stream_writer(stream, schema) as writer:
            yield writer


FormatT = TypeVar("FormatT", bound=type[Format])

_formats: dict[str, Format] = {}


def register(format_: FormatT) -> FormatT:
    """Class decorator: add a format. A second format of the same name or suffix is a ValueError."""
    for known in _formats.values():
        if known.name == format_.name or set(known.suffixes) & set(format_.suffixes):
            raise ValueError(f"the format {format_.name} has the name or a suffix of {known.name}")
    _formats[format_.name] = format_()
    return format_


def formats() -> tuple[Format, ...]:
    """All formats, sorted by name, after the modules of this package have registered theirs."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return tuple(sorted(_formats.values(), key=lambda format_: format_.name))


def by_name(name: str) -> Format:
    """The format of this name; InputError where there is none."""
    return _first(lambda format_: format_.name == name, f"there is no format named {name}")


def by_suffix(path: Path) -> Format:
    """The format that the suffix of a file names; InputError where it names none."""
    suffix = path.suffix.lower()
    return _first(lambda format_: suffix in format_.suffixes, f"the suffix of {path.name} names no format")


def _first(wanted: Callable[[Format], bool], message: str) -> Format:
    found = next(filter(wanted, formats()), None)
    if found is None:
        raise InputError(message, remedy=f"formats: {', '.join(format_.name for format_ in formats())}")
    return found


def of_file(path: Path) -> Format:
    """The format of a file that exists: from its first bytes; where they cannot tell, from its suffix.

    Raises:
        InputError: neither tells, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise InputError(f"cannot read {path}: no such file") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    for format_ in formats():
        if format_.recognizes(head):
            return format_
    try:
        return by_suffix(path)
    except InputError:
        known = ", ".join(suffix for format_ in formats() for suffix in format_.suffixes)
        raise InputError(
            f"cannot read {path}: its content is in no known format; else its name must end in {known}"
        ) from None


def read_rows(path: Path) -> Iterator[Record]:
    """The rows of a result file in any format; InputError where it cannot be read or is damaged."""
    format_ = of_file(path)
    with reading(path, format_):
        yield from format_.rows(path)


@contextmanager
def reading(path: Path, format_: Format) -> Iterator[None]:
    """Turn what a reader raises into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
        raise InputError(f"{path} is damaged, or no {format_.title} file: {error}") from error
