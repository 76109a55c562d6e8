"""The page for labelling on loopback: its files, the pictures, and what it asks and says, as JSON."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from facegender.errors import FacegenderError
from facegender.label.pictures import Pictures
from facegender.label.precision import IntervalPrecision, precision, precision_before
from facegender.label.session import ANSWERS, Box, LabellingSession
from facegender.page import HEADERS, Asset, assets

_STATIC = Path(__file__).parent / "static"
#: Those of the page, with nothing for cameras or other workers.
_HEADERS = HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
#: Bytes of the longest thing that the page says.
_LONGEST = 1000


class LabellingApp:
    """What the page needs: a session, its pictures, and how narrow the interval has become.

    The interval is worked out beside the labelling, for the newest answers; the page never waits for it.

    Args:
        review: whether the session goes through uncertain faces only.

    Attributes:
        ended: nothing is answered any more.
    """

    def __init__(self, session: LabellingSession, pictures: Pictures, *, review: bool = False) -> None:
        self.session, self.pictures, self.review = session, pictures, review
        self._precision = IntervalPrecision(None)
        self._wanted = threading.Event()
        self.ended = False
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def state(self) -> dict[str, Any]:
        """Where the labelling stands."""
        return {
            "labeller": self.session.labeller,
            "review": self.review,
            "count": len(self.session),
            "done": self.session.done,
            "next": self.session.next,
            "file": str(self.session.path),
            **asdict(self._precision),
        }

    def answered(self) -> None:
        """The answers have changed."""
        self._wanted.set()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Keep the interval up to date while the page is served."""
        self._thread.start()
        self._wanted.set()
        try:
            yield
        finally:
            self.ended = True
            self._wanted.set()
            self._thread.join()

    def _measure(self) -> None:
        before = None if self.review else precision_before(self.session.collection)
        while self._wanted.wait():
            self._wanted.clear()
            if self.ended:
                return
            if not self.review:
                self._precision = precision(self.session.collection, self.session.labelled(), before)


class _Server(ThreadingHTTPServer):
    #: Connections that wait to be accepted; with the default, 5, some of a burst are reset.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that no longer waits for its picture."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(app: LabellingApp, port: int = 0) -> Iterator[str]:
    """Serve the page to this machine while the context is open; yields its address, whose path cannot be guessed.

    Args:
        port: 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    token = secrets.token_urlsafe(12)
    with _Server(("127.0.0.1", port), _handler(app, token)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))  # seconds until it sees that it is to end
        thread.start()
        try:
            with app.measuring():
                yield f"http://127.0.0.1:{server.server_port}/{token}/"
        finally:
            server.shutdown()
            thread.join()


def _handler(app: LabellingApp, token: str) -> type[BaseHTTPRequestHandler]:
    kinds = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css"}
    files = {path.name: Asset(path, kinds[path.suffix]) for path in _STATIC.iterdir() if path.suffix in kinds}
    files |= {name: asset for name, asset in assets().items() if name in ("style.css", "favicon.svg")}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "facegender"
        sys_version = ""

        def do_GET(self) -> None:
            if (name := self._name()) is None:
                return
            if name in files:
                self._send(200, files[name].read(unpacked=True), files[name].media_type)
            elif name == "state":
                self._say(200, app.state())
            else:
                face, photo = (partial(self._picture, draw) for draw in (app.pictures.face, app.pictures.photo))
                self._item(name, {"": self._about, "/face.jpg": face, "/photo.jpg": photo})

        def do_POST(self) -> None:
            if (name := self._name()) is None:
                return
            if (said := self._said()) is None:
                self._say(400, {"error": "what was sent is no short JSON object"})
            elif name == "undo":
                self._change(lambda: {"place": app.session.undo()})
            else:
                self._item(name, {"": lambda place: self._answer(place, said)})

        def _name(self) -> str | None:
            """The path below the token; None, and an answer, where the request is not from our page."""
            host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
            assert isinstance(self.server, HTTPServer)
            here = f"127.0.0.1:{self.server.server_port}", f"localhost:{self.server.server_port}"
            # Another site may resolve its own name to this machine, or send a form here.
            strange = host not in here or origin not in (None, *(f"http://{each}" for each in here))
            begin, path = f"/{token}/", self.path.partition("?")[0]
            ended = "facegender label has ended. What you answered before is saved."
            for refused, status, why in (
                (app.ended, 503, ended),  # a connection that was left open
                (strange, 403, "only the page itself may ask"),
                (not path.startswith(begin), 404, "the address is not complete"),
            ):
                if refused:
                    self.close_connection = True  # what was sent with it stays unread
                    self._say(status, {"error": why})
                    return None
            return path.removeprefix(begin) or "index.html"

        def _said(self) -> dict[str, Any] | None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _LONGEST:
                self.close_connection = True
                return None
            try:
                said = json.loads(self.rfile.read(int(length)))
            except ValueError:
                return None
            return said if isinstance(said, dict) else None

        def _item(self, name: str, ways: dict[str, Callable[[int], None]]) -> None:
            head, _, rest = name.partition("/")
            number, slash, rest = rest.partition("/")
            way = ways.get(slash + rest)
            if head != "item" or way is None or not number.isdecimal() or int(number) >= len(app.session):
                self._say(404, {"error": "there is no such thing"})
            else:
                way(int(number))

        def _about(self, place: int) -> None:
            item = app.session.item(place)
            self._say(200, {"place": place, "photo": item.photo, "answer": item.answer})

        def _picture(self, draw: Callable[[str, Box], bytes], place: int) -> None:
            item = app.session.item(place)
            try:
                content = draw(item.photo, item.box)
            except FacegenderError as error:
                self._say(404, {"error": str(error)})
            else:
                self._send(200, content, "image/jpeg")

        def _answer(self, place: int, said: dict[str, Any]) -> None:
            answer = next((each for each in ANSWERS if each == said.get("answer")), None)
            if answer is None:
                self._say(400, {"error": f"an answer is one of {', '.join(ANSWERS)}"})
            else:
                self._change(partial(app.session.answer, place, answer))

        def _change(self, way: Callable[[], dict[str, Any] | None]) -> None:
            try:
                said = {**(way() or {}), **app.state()}
            except FacegenderError as error:  # the disk
                self._say(507, {"error": str(error)})
            else:
                self._say(200, said)
            app.answered()

        def _say(self, status: int, said: dict[str, Any]) -> None:
            self._send(status, json.dumps(said).encode(), "application/json")

        def _send(self, status: int, content: bytes, media_type: str) -> None:
            self.send_response(status)
            for key, value in _HEADERS.items():
                self.send_header(key, value)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
