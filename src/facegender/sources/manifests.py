"""Lists of photos: text with a path a line or between NUL, and tables with a column ``path``.

Text is in UTF-8 or whatever bytes file names have, or in UTF-16.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from facegender.errors import InputError, MissingExtraError, needs
from facegender.sources.kinds import is_photo
from facegender.sources.remote import Remote, check_protocol, is_url, open_url, url_path, without_query
from facegender.sources.source import LocalFile, Source, Unreadable

_TEXT = (".txt", ".lst")
_DELIMITED = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"
MANIFEST_SUFFIXES = (*_TEXT, *_DELIMITED, _PARQUET)

_DELIMITERS = ",;\t|"

#: A text is a list if most of its first lines are photos; how many lines, and bytes, are read for that.
_FIRST_LINES, _FIRST_BYTES = 20, 8192
#: Bytes from which an encoding is detected.
_HEAD_BYTES = 4096
_CHUNK_BYTES = 65_536

_COLUMN = "path"
_BATCH_ROWS = 4096


def photos_listed(manifest: str) -> Iterator[Source]:
    """The photos that a list names, in its order, by the names they have there; after damage one that says so.

    Args:
        manifest: path or URL of the list. Paths in it are taken from its own folder unless they are absolute or
            URLs. Empty lines and cells are passed over.

    Raises:
        InputError: a table without a column ``path``, or a URL of no known protocol.
        MissingExtraError: pyarrow, or what a URL needs, is not installed.
    """
    remote = is_url(manifest)
    if remote:
        check_protocol(manifest)
    # As it is written: not a path.
    folder = posixpath.dirname(without_query(manifest)) if remote else os.path.dirname(manifest)  # noqa: PTH120
    try:
        for name in _names(manifest):
            if is_url(name):
                yield Remote(name, name)
            elif remote and not os.path.isabs(name):  # noqa: PTH117
                yield Remote(name, f"{folder}/{name}")
            else:
                yield LocalFile(name, os.path.join(folder, name))  # noqa: PTH118
    except (InputError, MissingExtraError):
        raise
    except Exception as error:  # the disk, the network, or whatever pyarrow and csv raise for damage
        yield Unreadable.damaged(manifest, error)


def _names(manifest: str) -> Iterator[str]:
    suffix = PurePosixPath(url_path(manifest)).suffix.lower()
    with open_url(manifest, seekable=suffix == _PARQUET) if is_url(manifest) else Path(manifest).open("rb") as file:
        if suffix in _TEXT:
            yield from lines(file)
            return
        if suffix == _PARQUET:
            names = _parquet_names(file, manifest)
        else:
            names = _delimited_names(file, manifest, _DELIMITED[suffix])
        yield from (name for name in names if name.strip())


def is_list(path: str) -> bool:
    """Whether a text in a file lists photos: at least half of its first lines name a photo, by suffix or on the disk.

    A README that a shell's pattern brought along is none. Tables are: what they lack is said when they are read.
    """
    if not path.lower().endswith(_TEXT):
        return True
    try:
        with Path(path).open("rb") as file:
            head = file.read(_FIRST_BYTES)
    except OSError:
        return True  # reading it will say what is wrong
    if not is_text(head):
        return False
    first = list(lines(io.BytesIO(head)))
    if len(head) == _FIRST_BYTES and len(first) > 1:
        del first[-1]  # cut
    folder = Path(path).parent
    named = sum(_names_photo(folder, name) for name in first[:_FIRST_LINES])
    return 2 * named >= len(first[:_FIRST_LINES])


def _names_photo(folder: Path, name: str) -> bool:
    if is_url(name):
        return is_photo(url_path(name)) or not any(character.isspace() for character in name)
    return is_photo(name) or os.path.isfile(folder / name)  # noqa: PTH113 (False also for what is no name)


def _delimited_names(file: IO[bytes], manifest: str, delimiter: str) -> Iterator[str]:
    with text_of(file) as text:
        header = text.readline()
        if separator := re.fullmatch(r"sep=(.)\r?\n", header):  # Excel's own first line
            delimiter, header = separator[1], text.readline()
        # Not every CSV has commas: Excel writes semicolons or tabs, as the language of the system wants.
        columns, delimiter = min(
            ((next(csv.reader([header], delimiter=each), []), each) for each in (delimiter, *_DELIMITERS)),
            key=lambda found: _COLUMN not in found[0],
        )
        _check_column(columns, manifest)
        at = columns.index(_COLUMN)
        rows = csv.reader(text, delimiter=delimiter)
        yield from (row[at] for row in rows if len(row) > at)


def _parquet_names(file: IO[bytes], manifest: str) -> Iterator[str]:
    with needs("pyarrow", "parquet"):
        from pyarrow import parquet
    table = parquet.ParquetFile(file)
    _check_column(table.schema_arrow.names, manifest)
    for batch in table.iter_batches(_BATCH_ROWS, columns=[_COLUMN]):
        yield from (str(name) for name in batch.column(0).to_pylist() if name is not None)


def _check_column(header: list[str], manifest: str) -> None:
    if _COLUMN not in header:
        columns = ", ".join(header) if header else "none"
        raise InputError(f"{manifest} has no column {_COLUMN} (its columns: {columns})", remedy="name one of them path")


def is_text(head: bytes) -> bool:
    """Whether data that begins so may be text, or names separated by NUL: neither has two NUL after each other."""
    return _utf16(head) is not None or b"\0\0" not in head[:_HEAD_BYTES]


def lines(file: IO[bytes]) -> Iterator[str]:
    """The names of files in a list, whatever its encoding: its lines, without blank ones; or what NUL separates."""
    buffered = _buffered(file)
    head = buffered.peek(_HEAD_BYTES)[:_HEAD_BYTES]
    if encoding := _utf16(head):
        with io.TextIOWrapper(buffered, encoding, "replace", newline="\n") as text:
            yield from filter(_is_named, (line.rstrip("\r\n") for line in text))
    elif b"\0" in head:
        yield from map(_name, filter(None, _between_nul(buffered)))
    else:
        found = (line.removeprefix(codecs.BOM_UTF8) if number == 0 else line for number, line in enumerate(buffered))
        yield from filter(_is_named, (_name(line).rstrip("\r\n") for line in found))


def text_of(file: IO[bytes]) -> io.TextIOWrapper:
    """The text of a table in UTF-8 or UTF-16, for `csv.reader`; other bytes become surrogates."""
    buffered = _buffered(file)
    encoding = _utf16(buffered.peek(_HEAD_BYTES)[:_HEAD_BYTES])
    return io.TextIOWrapper(buffered, encoding or "utf-8-sig", "replace" if encoding else "surrogateescape", newline="")


def _name(line: bytes) -> str:
    try:
        return os.fsdecode(line)
    except UnicodeDecodeError:  # on Windows, where names are no bytes
        raise InputError(
            "a list of photos is neither UTF-8 nor UTF-16", remedy="save it as UTF-8; in cmd, first run: chcp 65001"
        ) from None


def _is_named(line: str) -> bool:
    return not set(line) <= set(" \t\r")


def _buffered(file: IO[bytes]) -> io.BufferedReader:
    return file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, file))


def _utf16(head: bytes) -> str | None:
    """The kind of UTF-16 that a text is in: by its mark; without one, by bytes of which every other one is 0."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        high, low = head[first::2], head[1 - first :: 2]
        if "\n".encode(encoding) in head and 8 * low.count(0) <= len(low) and 2 * high.count(0) >= len(high):
            return encoding
    return None


def _between_nul(file: IO[bytes]) -> Iterator[bytes]:
    left = b""
    while chunk := file.read(_CHUNK_BYTES):
        *whole, left = (left + chunk).split(b"\0")
        yield from whole
    if left:
        yield left
