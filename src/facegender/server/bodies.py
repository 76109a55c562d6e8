"""The body of a request, read within its limits and never written to a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from facegender.server.problems import ProblemError, printable, unknown_name
from facegender.wire import OCTETS, Limits, Parameters

#: Characters of a file name that are kept.
_NAME_LENGTH = 255
#: Bytes of the headers of a part.
_MAX_PART_HEADERS = 4096


@dataclass(frozen=True)
class Part:
    """A file of a request.

    Attributes:
        name: the client's name for it, as text without control characters; None for raw bytes.
    """

    name: str | None
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class BodyRules:
    """How a body is read.

    Attributes:
        field: the name of the form's fields.
        max_parts: files in one form.
        limits: of the whole body.
        images: whether a body may be the bytes of an image file, by its media type; any may be bytes of no type.
    """

    field: str
    max_parts: int
    limits: Limits
    images: bool


def _check_headers(request: Request, rules: BodyRules) -> tuple[bytes | None, int]:
    """The boundary of the body's parts, None for raw bytes; and the bytes that it declares, 0 where it does not."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ProblemError("unsupported_media_type", "a compressed body (Content-Encoding) is not taken")
    raw_type, options = parse_options_header(request.headers.get("content-type", ""))
    media_type = raw_type.decode("latin-1").strip().lower()
    boundary = None
    if media_type == "multipart/form-data":
        boundary = options.get(b"boundary")
        if not boundary or len(boundary) > 70:
            raise ProblemError("bad_request", "the content type multipart/form-data needs a boundary")
    elif media_type != OCTETS and not (rules.images and media_type.startswith("image/")):
        raise ProblemError(
            "unsupported_media_type",
            f"the content type {printable(media_type, 80)!r} is not taken here" if media_type else "no content type",
        )
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isascii() and length.isdecimal() and len(length) < 19 else 0
    if declared > rules.limits.max_bytes:
        raise _too_large(f"a body of {declared} bytes", f"{rules.limits.max_bytes} bytes")
    return boundary, declared


def _too_large(what: str, limit: str) -> ProblemError:
    return ProblemError("too_large", f"{what} is above the limit of {limit}")


async def read_parts(
    request: Request, rules: BodyRules, admit: Callable[[int], None], reserve: Callable[[int], None]
) -> list[Part]:
    """The files of a body.

    Args:
        admit: called before the body is read, with the bytes that it declares.
        reserve: called with the bytes of each chunk. Both may raise a `ProblemError`.

    Raises:
        ProblemError: 400, 408, 413, 415, 422, or what `admit` and `reserve` raise.
        ClientDisconnect: the client has closed its connection.
    """
    boundary, declared = _check_headers(request, rules)
    admit(declared)
    form = None if boundary is None else _FormReader(boundary, rules)
    raw, total = bytearray(), 0
    try:
        async with asyncio.timeout(rules.limits.body_timeout):
            async for chunk in request.stream():
                total += len(chunk)
                if total > rules.limits.max_bytes:
                    raise _too_large("the body", f"{rules.limits.max_bytes} bytes")
                reserve(len(chunk))
                if form is None:
                    raw += chunk
                else:
                    form.write(chunk)
    except TimeoutError:
        late = f"the body has not come within {rules.limits.body_timeout:g} seconds"
        raise ProblemError("body_timeout", late, {"Connection": "close"}) from None
    return [Part(None, bytes(raw))] if form is None else form.close()


class _FormReader:
    def __init__(self, boundary: bytes, rules: BodyRules) -> None:
        self._rules = rules
        self._parts: list[Part] = []
        self._name, self._value, self._data = bytearray(), bytearray(), bytearray()
        self._header_bytes = 0
        self._disposition = b""
        self._filename = ""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": lambda data, start, end: self._on_header(self._name, data[start:end]),
                "on_header_value": lambda data, start, end: self._on_header(self._value, data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                "on_part_end": lambda: self._parts.append(Part(self._filename, bytes(self._data))),
                "on_end": self._on_end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise ProblemError("bad_request", f"the form is damaged: {error}") from None

    def close(self) -> list[Part]:
        if not self._ended:
            raise ProblemError("bad_request", "the form ends before its last boundary")
        if not self._parts:
            raise ProblemError("invalid", f"the form has no field {self._rules.field!r}")
        return self._parts

    def _on_part_begin(self) -> None:
        if len(self._parts) == self._rules.max_parts:
            raise _too_large("the form", f"{self._rules.max_parts} files")
        self._disposition = b""
        self._header_bytes = 0
        self._data.clear()

    def _on_header(self, buffer: bytearray, more: bytes) -> None:
        self._header_bytes += len(more)
        if self._header_bytes > _MAX_PART_HEADERS:
            raise ProblemError("bad_request", f"a part of the form has more than {_MAX_PART_HEADERS} bytes of headers")
        buffer += more

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in Parameters.__annotations__:
            raise ProblemError("invalid", f"{name!r} is no form field but a parameter of the query")
        if name != self._rules.field:
            raise unknown_name("form field", name, [self._rules.field])
        if b"filename" not in options:
            raise ProblemError("invalid", f"the field {self._rules.field!r} must hold a file, with its name")
        self._filename = printable(options[b"filename"].decode("utf-8", "replace"), _NAME_LENGTH)

    def _on_end(self) -> None:
        self._ended = True
