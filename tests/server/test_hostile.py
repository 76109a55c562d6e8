"""What nobody should send: refused within the limits, while the service goes on answering."""

import io
import os
import socket
import struct
import zlib

import PIL.Image
import psutil
import pytest

TOKEN = {"authorization": "Bearer open-sesame"}


def talk(service, *pieces):
    """Send pieces on a raw connection, as far as the service takes them, and read until it closes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        reply = bytearray()
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:  # it has closed: it has heard enough
            pass
        try:
            while more := connection.recv(65_536):
                reply += more
        except ConnectionError:
            pass
    return bytes(reply)


def head(*lines, path="/v1/analyze"):
    own = (f"POST {path} HTTP/1.1", "Host: localhost", "Authorization: Bearer open-sesame", "Content-Type: image/png")
    return "\r\n".join((*own, *lines, "", "")).encode()


def status(reply):
    assert reply.startswith(b"HTTP/1.1 "), reply[:100]
    assert b"content-type: application/problem+json" in reply
    return int(reply.split()[1])


def test_a_gigabyte_is_refused_before_it_comes(narrow, photos):
    reply = talk(narrow, head("Content-Length: 1073741824"), *[bytes(2**20)] * 1024)
    assert status(reply) == 413
    assert narrow.post("/v1/analyze", photos[0], **TOKEN).status == 200


def test_a_body_without_end_is_refused_at_the_limit(narrow, photos):
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    reply = talk(narrow, head("Transfer-Encoding: chunked"), *[chunk] * 10_000)
    assert status(reply) == 413
    assert narrow.post("/v1/analyze", photos[0], **TOKEN).status == 200


def test_a_body_of_two_lengths_is_refused(narrow):
    reply = talk(narrow, head("Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n")
    assert status(reply) == 400


def test_a_slow_body_is_given_up(narrow):
    reply = talk(narrow, head("Content-Length: 1000"), b"a")
    assert status(reply) == 408
    assert narrow.count("held_bytes") == 0


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_headers_that_never_end(narrow, monkeypatch, sent):
    monkeypatch.setattr("facegender.server.protocol._HEADER_TIMEOUT", 0.1)
    assert talk(narrow, sent) == b""


def test_a_second_request_whose_headers_never_end(narrow, monkeypatch):
    monkeypatch.setattr("facegender.server.protocol._HEADER_TIMEOUT", 0.1)
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=20) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = b""
        while b'"ok"}' not in reply:
            reply += connection.recv(65_536)
        connection.sendall(b"GET /hea")
        assert connection.recv(65_536) == b""


def test_ten_thousand_headers(narrow):
    for lines in ([f"X-{number}: a" for number in range(10_000)], ["X: " + "a" * 1_000_000]):
        assert status(talk(narrow, head(*lines))) in (400, 431)
    few = [f"X-{number}: a" for number in range(150)]
    assert status(talk(narrow, head(*few, "Connection: close"))) == 431
    assert narrow.get("/healthz").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),  # TLS
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\r\n\r\n\r\n\x00\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ],
)
def test_what_is_not_http(narrow, sent):
    assert status(talk(narrow, sent)) in (400, 501)


@pytest.mark.parametrize("length", ["99999999999999999999999999", "0x10", "1_000", "+5"])
def test_lengths_that_are_none(narrow, length):
    assert status(talk(narrow, head(f"Content-Length: {length}", "Connection: close"))) in (400, 413)


def test_an_upgrade_is_not_for_this_service(narrow):
    sent = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert b'{"status": "ok"}' in talk(narrow, sent)


NAMES = {
    "../../../etc/passwd": "../../../etc/passwd",
    "/etc/shadow": "/etc/shadow",
    "a\x1b[31m\x07\x7f.jpg": "a\N{REPLACEMENT CHARACTER}[31m" + 2 * "\N{REPLACEMENT CHARACTER}" + ".jpg",
    "photo.jpg\u202egpj": "photo.jpg\N{REPLACEMENT CHARACTER}gpj",
    "Fröken Å.jpg": "Fröken Å.jpg",
    "x" * 1000 + ".jpg": "x" * 255,
    "%00%2e%2e": "%00%2e%2e",
    "": "",
}


def test_names_are_text(narrow):
    for given, expected in NAMES.items():
        answer = narrow.form("/v1/analyze", (given, b"no photo"), **TOKEN)
        [photo] = answer.json["photos"]
        assert photo["path"] == expected
        assert photo["error"]["kind"] == "not_an_image"
        assert not any(ord(character) < 32 for character in photo["error"]["message"])


def bomb(width, height):
    """A PNG file of a few kilobytes that unpacks to many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(width // 8 + 1)) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_bombs(narrow, photos):
    notes = io.BytesIO()
    PIL.Image.new("1", (8, 8)).save(notes, "TIFF")
    files = {
        "pixels": bomb(20_000, 20_000),
        "lies": bomb(300, 300).replace(struct.pack(">II", 300, 300), struct.pack(">II", 2**31 - 1, 2**31 - 1)),
        "zip": b"PK\x03\x04" + bytes(100),
    }
    for name, data in files.items():
        before = sum(each.memory_info().rss for each in psutil.Process().children(recursive=True))
        answer = narrow.form("/v1/analyze", (name, data), ("fine", photos[0]), **TOKEN)
        assert answer.status == 200
        bad, fine = answer.json["photos"]
        assert bad["error"]["kind"] in ("pixel_limit", "not_an_image", "truncated")
        assert len(fine["faces"]) == 1
        after = sum(each.memory_info().rss for each in psutil.Process().children(recursive=True))
        assert after - before < 50_000_000
    assert narrow.form("/v1/classify", ("crop", files["pixels"]), field="crop", **TOKEN).problem == (422, "invalid")


def test_a_photo_that_ends_its_process(service, photos):
    """As the worker sees it: its process is gone while it reads."""
    with service.held_up() as workers:
        answer = service.later("/v1/analyze", photos[0])
        service.until("working_tasks", 1)
        for worker in workers:
            worker.kill()
    [photo] = answer.result(30).json["photos"]
    assert photo["error"] == {"kind": "crashed", "message": photo["error"]["message"]}
    assert len(service.post("/v1/analyze", photos[0]).json["photos"][0]["faces"]) == 1


def test_a_process_that_is_killed_while_idle_costs_no_photo(service, photos):
    with service.held_up() as workers:
        for worker in workers:
            worker.kill()
            os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # a zombie's other threads may still be there
    [photo] = service.post("/v1/analyze", photos[0]).json["photos"]
    assert photo["error"] is None
    assert len(photo["faces"]) == 1
