"""The body of a request, read within its limits and never written to a disk."""

from __future__ import annotations

import asyncio
import math
import unicodedata
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from facegender.server.problems import ProblemError

#: Characters of a file name that are kept.
_NAME_LENGTH = 255
#: Bytes of a header of a part, and headers that it may have.
_PART_HEADER = 4096
_PART_HEADERS = 16


@dataclass(frozen=True)
class Part:
    """A file of a request.

    Attributes:
        name: what the client calls it, as text without control characters; empty for raw bytes.
    """

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class BodyRules:
    """How a body is read.

    Attributes:
        field: the name of the form's fields.
        max_parts: so many at most.
        max_bytes: of the whole body.
        seconds: in which it must have come.
        raw: whether a media type stands for the raw bytes of one file.
    """

    field: str
    max_parts: int
    max_bytes: int
    seconds: float
    raw: Callable[[str], bool]


def check_headers(request: Request, rules: BodyRules) -> tuple[str, bytes | None, int]:
    """What the headers say of the body: its media type, the boundary of its parts, its bytes (0 if unknown).

    Raises:
        ProblemError: 400, 413 or 415.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ProblemError("unsupported_media_type", "a compressed body (Content-Encoding) is not taken")
    raw_type, options = parse_options_header(request.headers.get("content-type", ""))
    media_type = raw_type.decode("latin-1").strip().lower()
    if media_type == "multipart/form-data":
        boundary = options.get(b"boundary")
        if not boundary or len(boundary) > 70:
            raise ProblemError("bad_request", "the content type multipart/form-data needs a boundary")
    elif rules.raw(media_type):
        boundary = None
    else:
        raise ProblemError(
            "unsupported_media_type",
            f"the content type {_clean(media_type, 80)!r} is not taken here" if media_type else "no content type",
        )
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isascii() and length.isdecimal() and len(length) < 19 else 0
    if declared > rules.max_bytes:
        raise too_large(f"a body of {declared} bytes", f"{rules.max_bytes} bytes")
    return media_type, boundary, declared


def too_large(what: str, limit: str) -> ProblemError:
    """For a body that is above a limit."""
    return ProblemError("too_large", f"{what} is above the limit of {limit}")


async def read_parts(
    request: Request, rules: BodyRules, boundary: bytes | None, hold: Callable[[int], None]
) -> list[Part]:
    """The files of a body.

    Args:
        request: whose body has not been read.
        rules: its limits.
        boundary: between its parts; None for raw bytes.
        hold: is told of bytes as they come, and may raise a `ProblemError`.

    Raises:
        ProblemError: 400, 408, 413, 422, or what `hold` raises.
        ClientDisconnect: the client has gone.
    """
    reader = _RawReader() if boundary is None else _FormReader(boundary, rules)
    total = 0
    try:
        async with asyncio.timeout(rules.seconds):
            async for chunk in _chunks(request):
                total += len(chunk)
                if total > rules.max_bytes:
                    raise too_large("the body", f"{rules.max_bytes} bytes")
                hold(len(chunk))
                reader.write(chunk)
    except TimeoutError:
        raise ProblemError(
            "body_timeout", f"the body has not come within {rules.seconds:g} seconds", {"Connection": "close"}
        ) from None
    return reader.close()


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


class _RawReader:
    """Takes a body as one file."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, chunk: bytes) -> None:
        self._data += chunk

    def close(self) -> list[Part]:
        return [Part("", bytes(self._data))]


class _FormReader:
    """Takes the files of a form."""

    def __init__(self, boundary: bytes, rules: BodyRules) -> None:
        self._rules = rules
        self._parts: list[Part] = []
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._name = ""
        self._data = bytearray()
        self._whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_size=math.inf,
            max_header_count=_PART_HEADERS,
            max_header_size=_PART_HEADER,
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise ProblemError("bad_request", f"the form is damaged: {error}") from None

    def close(self) -> list[Part]:
        if not self._whole:
            raise ProblemError("bad_request", "the form ends before its last boundary")
        if not self._parts:
            raise ProblemError("invalid", f"the form has no field {self._rules.field!r}")
        return self._parts

    def _on_part_begin(self) -> None:
        if len(self._parts) == self._rules.max_parts:
            raise too_large("the form", f"{self._rules.max_parts} files")
        self._disposition = b""
        self._data = bytearray()

    def _on_header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        named = options.get(b"name", b"")
        if named != self._rules.field.encode():
            shown = _clean(named.decode("utf-8", "replace"), 80)
            raise ProblemError("invalid", f"the form has a field {shown!r}; files are {self._rules.field!r}")
        if b"filename" not in options:
            raise ProblemError("invalid", f"the field {self._rules.field!r} must hold a file, with its name")
        self._name = _clean(options.get(b"filename", b"").decode("utf-8", "replace"), _NAME_LENGTH)

    def _on_part_end(self) -> None:
        self._parts.append(Part(self._name, bytes(self._data)))
        self._data = bytearray()

    def _on_end(self) -> None:
        self._whole = True


def _clean(text: str, length: int) -> str:
    """Text that does no harm wherever it is shown: cut, and without control and formatting characters."""
    kept = text[:length]
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in kept)
