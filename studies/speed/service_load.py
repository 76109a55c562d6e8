"""What the studies of the service share: the server as a process of its own, and clients that cost little.

The clients speak HTTP over asyncio's streams: they have the same two cores as the server.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psutil
from service_photos import Sample

CLIENTS = 64
#: How far an answer may be from that of `FaceAnalyzer` for the photo alone. Sums come out a little differently in other
#: company, and now and then a crop shifts by a hair: in 200 photos of LFW one, by 0.003, in one process too.
BOX_PIXELS, PROBABILITY = 0.15, 0.01


class Server:
    """``facegender serve`` on a free port of loopback."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the server)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "facegender", "serve", "--port", "0", *options],
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        end = time.monotonic() + 60
        while not (found := re.search(r"serving http://127\.0\.0\.1:(\d+)/", self.log)):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start:\n{self.log}")
            time.sleep(0.1)
        self.port = int(found[1])

    @property
    def log(self) -> str:
        """All that it has written to standard error."""
        self._log.seek(0)
        return self._log.read().decode()

    @property
    def logged(self) -> Counter[int]:
        """Statuses of the requests in its log."""
        lines = (json.loads(line) for line in self.log.splitlines() if line.startswith("{"))
        return Counter(line["status"] for line in lines if line["message"] == "request")

    def memory(self) -> float:
        """Resident memory of all its processes in MB; pages that they share count for each."""
        total = 0
        main = psutil.Process(self.process.pid)
        for each in [main, *main.children(recursive=True)]:
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20

    @contextmanager
    def watched(self, seconds: float) -> Iterator[list[tuple[float, float]]]:
        """Moments (`time.monotonic`) and memory in MB, sampled at this interval."""
        taken: list[tuple[float, float]] = []
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                try:
                    taken.append((time.monotonic(), self.memory()))
                except psutil.Error:
                    return
                over.wait(seconds)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield taken
        finally:
            over.set()
            thread.join()

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()


class ClosedError(Exception):
    """The server has closed the connection without an answer."""


class Connection:
    """Sends requests one after the other over one connection, and opens another when it is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, data: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a photo.

        Raises:
            ClosedError: there was none.
        """
        head = (
            f"POST /v1/analyze HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(head.encode() + data)
            status, body, closing = await _response(reader)
        except (OSError, EOFError) as error:
            self.close()
            raise ClosedError from error
        if closing:
            self.close()
        return status, body

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection ends with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else await reader.read()
    return int(head[9:12]), body, length is None or b"\r\nconnection: close" in head


@dataclass
class Load:
    """What came of requests.

    Attributes:
        seconds: from the first request to the last answer.
        statuses: of the answers; 0 for none.
        times: seconds of each request answered with 200.
        wrong: answers that are not as they should be.
        pixels, probability: the largest differences of boxes and probabilities among the others.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    wrong: int = 0
    pixels: float = 0.0
    probability: float = 0.0

    @property
    def rate(self) -> float:
        """Photos answered a second."""
        return self.statuses[200] / self.seconds

    def ms(self, percent: float) -> float:
        """A percentile of `times` in milliseconds."""
        return 1000 * float(np.percentile(self.times, percent)) if self.times else float("nan")

    def share(self, status: int) -> float:
        """Of all requests."""
        return self.statuses[status] / max(1, self.statuses.total())

    def take(self, sample: Sample, status: int, body: bytes, seconds: float) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status == 200:
            self.times.append(seconds)
            differences = sample.differences(body)
            if differences is None or differences[0] > BOX_PIXELS or differences[1] > PROBABILITY:
                self.wrong += 1
            else:
                self.pixels = max(self.pixels, differences[0])
                self.probability = max(self.probability, differences[1])


def closed_loop(port: int, samples: Callable[[int], Iterable[Sample]], clients: int, seconds: float) -> Load:
    """This many clients for this long, each with its own photos and one request at a time."""
    load = Load()

    async def client(number: int) -> None:
        connection = Connection(port)
        for sample in samples(number):
            if time.monotonic() >= end:
                break
            begun = time.perf_counter()
            try:
                status, body = await connection.post(sample.data)
            except ClosedError:
                status, body = 0, b""
            load.take(sample, status, body, time.perf_counter() - begun)
        connection.close()

    async def run() -> None:
        await asyncio.gather(*map(client, range(clients)))

    begun = time.monotonic()
    end = begun + seconds
    asyncio.run(run())
    load.seconds = time.monotonic() - begun
    return load


#: Requests under way at a time in an open loop: more would measure the limits of this process.
_MOST = 800


def open_loop(port: int, samples: Iterable[Sample], rate: float, seconds: float, seed: int) -> tuple[Load, int]:
    """Requests at random moments, this many a second on average, whether earlier ones are answered or not.

    A request's time begins at the moment it was meant to be sent.

    Returns:
        What came of them, and how many were not sent because `_MOST` were under way.
    """
    load, idle, under_way, unsent = Load(), [Connection(port) for _ in range(_MOST)], set(), 0
    generator = np.random.default_rng(seed)

    async def one(sample: Sample, meant: float) -> None:
        connection = idle.pop()
        try:
            status, body = await connection.post(sample.data)
        except ClosedError:
            status, body = 0, b""
        idle.append(connection)
        load.take(sample, status, body, time.monotonic() - meant)

    async def run() -> None:
        nonlocal unsent
        moment = time.monotonic()
        end = moment + seconds
        for sample in samples:
            moment += generator.exponential(1 / rate)
            if moment >= end:
                break
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            if len(under_way) == _MOST:
                unsent += 1
                continue
            task = asyncio.create_task(one(sample, moment))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        for connection in idle:
            connection.close()

    begun = time.monotonic()
    asyncio.run(run())
    load.seconds = time.monotonic() - begun
    return load, unsent
