"""Lists as text: in UTF-8 or whatever bytes file names have, or in UTF-16; with lines or NUL between names."""

from __future__ import annotations

import codecs
import io
import os
from collections.abc import Iterator
from typing import IO, cast

from facegender.errors import InputError

#: Bytes from which an encoding is detected.
_HEAD_BYTES = 4096
_CHUNK_BYTES = 65_536


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
    if encoding is not None:
        return io.TextIOWrapper(buffered, encoding, "replace", newline="")
    return io.TextIOWrapper(buffered, "utf-8-sig", "surrogateescape", newline="")


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
