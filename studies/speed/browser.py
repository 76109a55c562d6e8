"""A browser, and the page on loopback for it; for the study of the page and for its tests."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from facegender.page import HEADERS, assets

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def installed() -> str | None:
    """The path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def served(isolated: bool = True) -> Iterator[str]:
    """Serve the page while the context is open, with its headers or as any plain server would send it."""
    files = assets()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asset = files.get(self.path.partition("?")[0].lstrip("/") or "index.html")
            content = b"no such file" if asset is None else asset.read()
            self.send_response(404 if asset is None else 200)
            for name, value in HEADERS.items() if isolated else ():
                self.send_header(name, value)
            self.send_header("Content-Type", "text/plain" if asset is None else asset.media_type)
            if asset is not None and asset.gzipped:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
