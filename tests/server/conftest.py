import contextlib
import http.client
import io
import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
import psutil
import pytest

from facegender.server.run import Server, listen
from facegender.server.service import Service
from facegender.server.settings import ServerSettings
from facegender.wire import Limits

#: Two models that disagree on how sure one must be.
OTHER = {"confidence_for_error": {"0.01": 0.99, "0.05": 0.5}}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str]:
        """Status and kind, of an answer that is a problem in every way."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json
        assert set(problem) == {"type", "title", "status", "detail", "kind"}
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:facegender:problem:{problem['kind']}"
        assert problem["detail"]
        return self.status, problem["kind"]


class Running:
    """A service that listens on a port of this machine, and a client of it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port
        self._threads = ThreadPoolExecutor(32)

    @property
    def service(self) -> Service:
        return self.server.service

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, given, encode_chunked=False)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, kind: str = "image/png", **headers: str) -> Answer:
        return self.ask("POST", path, body, content_type=kind, **headers)

    def form(self, path: str, *files: tuple[str, bytes], field: str = "photo", **headers: str) -> Answer:
        body, kind = form(*files, field=field)
        return self.post(path, body, kind, **headers)

    def count(self, line: str) -> float:
        """What the metrics say of something, 0 if nothing."""
        for each in (
            self.get("/metrics", authorization=f"Bearer {self.service.settings.token}").body.decode().splitlines()
        ):
            if each.rpartition(" ")[0] == f"facegender_{line}":
                return float(each.rpartition(" ")[2])
        return 0.0

    def until(self, line: str, value: float) -> None:
        """Wait for something that the metrics tell."""
        for _ in range(2000):
            if self.count(line) == value:
                return
        raise AssertionError(f"{line} is {self.count(line)}, not {value}")

    def later(self, *arguments: Any, **keywords: Any) -> Future[Answer]:
        """As `post`, in a thread of its own."""
        return self._threads.submit(self.post, *arguments, **keywords)

    @contextlib.contextmanager
    def held_up(self):
        """Stop the workers for a while: what is sent then waits."""
        workers = workers_of(None)
        assert workers
        for worker in workers:
            worker.suspend()
        try:
            yield workers
        finally:
            for worker in workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.resume()


def workers_of(pid: int | None) -> list[psutil.Process]:
    """The workers of a process, None this one."""
    workers = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # ended, by another test perhaps
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


def form(*files: tuple[str, bytes], field: str = "photo") -> tuple[bytes, str]:
    """A multipart body and its content type."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"


@contextlib.contextmanager
def running(**settings: Any):
    """A service in a thread of its own."""
    listening = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = Server(Service(ServerSettings(port=0, **settings)), lambda url: ready.set())
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        assert ready.wait(30)
        yield Running(server, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def models(tmp_path_factory, write_model, write_detector):
    """Settings with two tiny models and the tiny detector."""
    folder = tmp_path_factory.mktemp("served")
    detector = write_detector(folder)
    paths = (write_model(folder), write_model(folder, "other", **OTHER))
    return {"models": tuple(map(str, paths)), "detector_model": str(detector)}


@pytest.fixture(scope="package")
def service(models):
    """A service as it is by default, but for its models."""
    with running(**models) as service:
        yield service


@pytest.fixture(scope="package")
def narrow(models):
    """A service with low limits and a token."""
    limits = Limits(
        max_bytes=200_000,
        max_photos=3,
        max_pixels=100_000,
        max_queue=4,
        max_memory=400_000,
        body_timeout=0.5,
        time_limit=20,
    )
    with running(**models, limits=limits, token="open-sesame") as service:
        yield service


def scene(*squares: tuple[int, int, int], red: int = 255, size: tuple[int, int] = (320, 240), kind: str = "PNG"):
    """The file of a photo in which the tiny detector sees faces in red squares: centre x and y, and side."""
    pixels = np.full((size[1], size[0], 3), 40, np.uint8)
    for x, y, side in squares:
        pixels[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = (red, 0, 0)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="session")
def photos():
    """Files of several photos."""
    return [scene((100, 100, 60)), scene((80, 120, 40), (220, 90, 80)), scene()]
