"""What the service does with input that is meant to harm it.

Each case is a connection of its own over a plain socket; after it, ``/healthz`` is asked on another. All of it stays on
loopback, and ends by itself: nothing is sent for longer than `LONGEST` seconds or beyond `MOST` bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

from engine import Row
from service_load import Server
from service_photos import png_bomb

#: The slow cases end sooner with it; everything else is as it is by default.
OPTIONS = ("--body-timeout", "5")
MOST = 1_000_000_000
LONGEST = 60.0
_PIECE = bytes(1 << 16)

#: What a case sends: pieces of bytes, each followed by a pause in seconds.
Script = Iterator[tuple[bytes, float]]


def hostile() -> list[Row]:
    """Each case: peak memory of all processes during it, what was answered, and what ``/healthz`` says after it."""
    rows: list[Row] = []
    with Server(OPTIONS) as server:
        idle = server.memory()
        bad = 0
        for name, case in CASES.items():
            with server.watched(0.05) as memory:
                answer = case(server.port)
            health = _send(server.port, iter([(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 0.0)]))
            bad += health != "200"
            most = max(size for _, size in memory)
            what = f"hostile ({' '.join(OPTIONS)}), {name}, most memory of all processes, MB"
            rows.append((what, most, "answer; then /healthz", f"{answer}; {health}"))
        failures = sum(count for status, count in server.logged.items() if status >= 500)
        exit_status = server.stop()
    most = max(row[1] for row in rows)
    return [
        *rows,
        ("hostile, most memory of all processes in all cases, MB", most, "before them, MB", idle),
        (f"hostile, of {len(rows)} cases, after which /healthz did not answer", bad, "bar", 0),
        ("hostile, answers 5xx", failures, "bar", 0),
        ("hostile, exit status after all of it", exit_status, "bar", 0),
    ]


def _send(port: int, script: Script) -> str:
    """The status that a script is answered with, and the kind of the error where there is one; or ``closed``."""
    end = time.monotonic() + LONGEST
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST) as connection:
        answer = b""
        with suppress(OSError):
            for piece, pause in script:
                connection.settimeout(LONGEST)
                connection.sendall(piece)
                if heard := _heard(connection, pause):
                    answer += heard
                    break
                if time.monotonic() > end:
                    return "no end"
        with suppress(OSError):
            connection.settimeout(max(1.0, end - time.monotonic()))
            while not _whole(answer) and (more := connection.recv(1 << 16)):
                answer += more
    return _told(answer)


def _heard(connection: socket.socket, pause: float) -> bytes:
    """What has come within a pause; raises OSError where the connection was closed."""
    connection.settimeout(max(pause, 1e-4))
    try:
        heard = connection.recv(1 << 16)
    except TimeoutError:
        return b""
    if not heard:
        raise ConnectionResetError
    return heard


def _whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(found) and length is not None and len(body) >= int(length[1])


def _told(answer: bytes) -> str:
    if not answer:
        return "closed"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    with suppress(ValueError, KeyError, TypeError, IndexError):
        content = json.loads(body)
        if status == "200" and "photos" in content:
            kinds = [photo["error"]["kind"] if photo["error"] else "read" for photo in content["photos"]]
            return f"{status} {' '.join(kinds)}"
        return f"{status} {content['kind']}"
    return status


def _head(*headers: str, path: str = "/v1/analyze") -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode("latin-1")


def _whole_body(data: bytes, *headers: str) -> Callable[[int], str]:
    """A case that sends a body as it should be sent."""
    kind = () if any(header.startswith("Content-Type") for header in headers) else (_RAW,)
    return lambda port: _send(port, iter([(_head(f"Content-Length: {len(data)}", *kind, *headers) + data, 0.0)]))


_RAW = "Content-Type: application/octet-stream"
_CHUNKED = "Transfer-Encoding: chunked"
_FORM = "Content-Type: multipart/form-data; boundary=limit"


def _one_gigabyte(*headers: str, frame: Callable[[bytes], bytes]) -> Callable[[int], str]:
    def script() -> Script:
        yield _head(_RAW, *headers), 0.0
        for _ in range(MOST // len(_PIECE)):
            yield frame(_PIECE), 0.0

    return lambda port: _send(port, script())


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _drop_by_drop(head: bytes, drop: bytes, pause: float) -> Callable[[int], str]:
    """A case that sends a little, and again and again."""

    def script() -> Script:
        yield head, 0.0
        while True:  # `_send` has an end
            yield drop, pause

    return lambda port: _send(port, script())


def _part(name: str, data: bytes, field: str = "photo") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return b"--limit\r\n" + disposition.encode("utf-8", "surrogateescape") + data + b"\r\n"


def _zeros_zipped(size: int) -> bytes:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w", force_zip64=True) as out,
    ):
        for _ in range(size // len(_PIECE)):
            out.write(_PIECE)
    return file.getvalue()


def _png_of_zeros(side: int) -> bytes:
    """A black PNG file of this many rows and columns, small for what it holds."""
    packer = zlib.compressobj()
    rows = b"".join(packer.compress(bytes(3 * side + 1)) for _ in range(side)) + packer.flush()
    return png_bomb(side, side, rows)


def _connections(count: int, sent: bytes) -> Callable[[int], str]:
    """A case of many connections at once, which are closed after a moment."""

    def case(port: int) -> str:
        with ExitStack() as stack:
            opened = 0
            for _ in range(count):
                with suppress(OSError):
                    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
                    connection.sendall(sent)
                    opened += 1
            time.sleep(1)
        return f"{opened} opened"

    return case


_TRICKS = (
    "../../../etc/passwd",
    "/etc/passwd",
    "C:\\\\Windows\\\\x.jpg",
    "%2e%2e%2fx",
    "a" * 100_000,
    "\x00\x1b[2J",
    "",
)

CASES: dict[str, Callable[[int], str]] = {
    "1 GB body with its length": _one_gigabyte(f"Content-Length: {MOST}", frame=lambda data: data),
    "1 GB body in chunks": _one_gigabyte(_CHUNKED, frame=_chunk),
    "endless body in chunks of a byte": _drop_by_drop(_head(_RAW, _CHUNKED), _chunk(b"x") * 100, 0.0),
    "endless chunk extension": _drop_by_drop(_head(_RAW, _CHUNKED) + b"1;", b"x" * 1000, 0.0),
    "slow body, a byte in 0.2 s": _drop_by_drop(_head(_RAW, "Content-Length: 1000"), b"x", 0.2),
    "slow headers, a byte in 0.2 s": _drop_by_drop(b"POST /v1/analyze HTTP/1.1\r\nX: ", b"x", 0.2),
    "no headers at all": lambda port: _send(port, iter([(b"", 0.0)])),
    "10,000 headers": _whole_body(b"x", *(f"X-{number}: y" for number in range(10_000))),
    "a header of 1 MB": _whole_body(b"x", f"X: {'y' * 1_000_000}"),
    "a path of 1 MB": lambda port: _send(port, iter([(_head(path=f"/{'x' * 1_000_000}"), 0.0)])),
    "PNG that says 50,000 x 50,000": _whole_body(png_bomb(50_000, 50_000)),
    "PNG of 7,000 x 7,000 zeros": _whole_body(_png_of_zeros(7_000)),
    "form of 16 PNG files of 7,000 x 7,000 zeros": _whole_body(
        _part("zeros.png", _png_of_zeros(7_000)) * 16 + b"--limit--\r\n", _FORM
    ),
    "zip bomb, 1 GB of zeros, as a photo": _whole_body(_zeros_zipped(MOST)),
    "zip bomb as application/zip": _whole_body(_zeros_zipped(MOST // 10), "Content-Type: application/zip"),
    "gzip bomb as Content-Encoding": _whole_body(gzip.compress(bytes(MOST // 10)), "Content-Encoding: gzip"),
    "no content type": _whole_body(b"x", "Content-Type:"),
    "content type text/html": _whole_body(b"<html>", "Content-Type: text/html"),
    "content type of 10,000 letters": _whole_body(b"x", f"Content-Type: image/{'x' * 10_000}"),
    "form without a boundary": _whole_body(b"x", "Content-Type: multipart/form-data"),
    "form with another boundary": _whole_body(_part("a", b"x"), "Content-Type: multipart/form-data; boundary=other"),
    "form that does not end": _whole_body(_part("a.jpg", b"x"), _FORM),
    "form of 10,000 files": _whole_body(_part("a.jpg", b"x") * 10_000 + b"--limit--\r\n", _FORM),
    "form with an endless header": _drop_by_drop(_head(_FORM, _CHUNKED), _chunk(b"--limit\r\nX: " + b"y" * 9999), 0.0),
    "path tricks and control characters in file names": _whole_body(
        b"".join(_part(name, b"x") for name in _TRICKS) + b"--limit--\r\n", _FORM
    ),
    "file name of 100,000 letters": _whole_body(_part("a" * 100_000, b"x") + b"--limit--\r\n", _FORM),
    "negative length": lambda port: _send(port, iter([(_head(_RAW, "Content-Length: -1") + b"x", 0.0)])),
    "length and chunks": lambda port: _send(
        port, iter([(_head(_RAW, "Content-Length: 4", _CHUNKED) + b"0\r\n\r\n", 0.0)])
    ),
    "a length beyond 64 bits": lambda port: _send(port, iter([(_head(_RAW, f"Content-Length: 1{'0' * 30}"), 0.0)])),
    "bytes at random": lambda port: _send(port, iter([(bytes(range(256)) * 400 + b"\r\n\r\n", 0.0)])),
    "a TLS greeting": lambda port: _send(port, iter([(bytes.fromhex("16030100c8010000c40303") + bytes(200), 0.0)])),
    "1,500 idle connections": _connections(1_500, b""),
    "200 clients that go in the midst of a body": _connections(
        200, _head(_RAW, "Content-Length: 100000") + bytes(50_000)
    ),
}
