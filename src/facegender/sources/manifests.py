"""Lists of photos: text with a path a line, and tables with a column ``path``."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from facegender.errors import InputError, MissingExtraError, needs
from facegender.sources.kinds import is_photo
from facegender.sources.remote import Remote, check_protocol, is_url, open_url, url_path, without_query
from facegender.sources.source import LocalFile, Source, Unreadable
from facegender.sources.text import is_text, lines, text_of

_TEXT = (".txt", ".lst")
_DELIMITED = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"
MANIFEST_SUFFIXES = (*_TEXT, *_DELIMITED, _PARQUET)

_DELIMITERS = ",;\t|"

#: A text is a list if most of its first lines are photos; how many lines, and bytes, are read for that.
_FIRST_LINES, _HEAD_BYTES = 20, 8192

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
    with _opened(manifest) as file:
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
            head = file.read(_HEAD_BYTES)
    except OSError:
        return True  # reading it will say what is wrong
    if not is_text(head):
        return False
    first = list(lines(io.BytesIO(head)))
    if len(head) == _HEAD_BYTES and len(first) > 1:
        del first[-1]  # cut
    folder = Path(path).parent
    named = sum(_names_photo(folder, name) for name in first[:_FIRST_LINES])
    return 2 * named >= len(first[:_FIRST_LINES])


def _names_photo(folder: Path, name: str) -> bool:
    if is_photo(url_path(name) if is_url(name) else name):
        return True
    try:
        return (folder / name).is_file() if not is_url(name) else not any(character.isspace() for character in name)
    except (OSError, ValueError):
        return False


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


def _opened(manifest: str) -> AbstractContextManager[IO[bytes]]:
    if is_url(manifest):
        return open_url(manifest, seekable=url_path(manifest).lower().endswith(_PARQUET))
    return Path(manifest).open("rb")
