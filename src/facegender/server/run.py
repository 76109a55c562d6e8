"""Starts, serves and ends."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from facegender.errors import InputError
from facegender.server.app import create_app
from facegender.server.protocol import MAX_HEADER_BYTES, Protocol
from facegender.server.service import Service
from facegender.server.settings import ServerSettings

logger = logging.getLogger(__name__)

#: glibc's name for the size from which on memory is mapped, M_MMAP_THRESHOLD.
_MMAP_THRESHOLD = -3

#: Seconds that an idle connection is kept.
_KEEP_ALIVE = 15
#: Seconds between two checks whether the workers are ready.
_POLL_INTERVAL = 0.05
#: Seconds after the grace period for answering unfinished requests with an error.
_SHUTDOWN_MARGIN = 2
#: What a record of the log may carry beside its message, in the order in which it is written.
_LOGGED = ("request", "method", "path", "status", "ms", "photos", "bytes")


class Server(uvicorn.Server):
    """uvicorn's, with time to finish the requests that were accepted.

    Args:
        on_ready: called once requests are taken, with the URL.
    """

    def __init__(self, service: Service, on_ready: Callable[[str], None]) -> None:
        self.service, self._on_ready = service, on_ready
        settings = service.settings
        super().__init__(
            uvicorn.Config(
                create_app(service),
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=int(settings.grace) + _SHUTDOWN_MARGIN,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and call `on_ready` once the workers are ready."""
        await super().startup(sockets)
        assert sockets
        settings, port = self.service.settings, sockets[0].getsockname()[1]
        # Of names that it may be reached by, one that is let in.
        host = settings.host if settings.local else next(iter(settings.allowed_hosts), socket.gethostname())
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        self._starting = asyncio.create_task(self._wait_for_workers(url))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and finish what was accepted."""
        self.service.draining = True
        self._starting.cancel()
        # What is not finished then is refused, which leaves time to say so.
        asyncio.get_running_loop().call_later(self.service.settings.grace, self.service.batcher.abort)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal to end; a second Ctrl-C ends at once, without what was accepted.

        uvicorn's would raise the signal again afterwards, and the exit status would be that of a failure. A second
        SIGTERM means nothing: some senders reach the process both by itself and with its group.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def _wait_for_workers(self, url: str) -> None:
        while self.service.batcher.ready < self.service.settings.workers:
            if self.service.failure is not None:
                self.should_exit = True
                return
            await asyncio.sleep(_POLL_INTERVAL)
        self._on_ready(url)


def serve(settings: ServerSettings, on_ready: Callable[[str], None]) -> bool:
    """Serve until a signal comes; whether all that was accepted has been answered.

    Args:
        on_ready: called once requests are taken, with the URL.

    Raises:
        WeightsError, InputError: as for `Service`, or the address cannot be listened on.
        FacegenderError: the workers cannot be started.
    """
    _return_memory()
    service = Service(settings)
    listening = listen(settings.host, settings.port)
    _configure_logs()
    server = Server(service, on_ready)
    with listening:
        server.run([listening])
    if service.failure is not None:
        raise service.failure
    if not service.batcher.close(0):  # a worker still has photos that were aborted
        for process in multiprocessing.active_children():
            process.kill()
        sys.stderr.flush()
        os._exit(1)
    return not service.batcher.aborted


def _return_memory() -> None:
    """Have the memory of large bodies go back to the system at once, where the C library is glibc.

    Between smaller things it would stay, and the process would grow for hours. The workers are faster without.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**20)


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address, which uvicorn will listen on; InputError if it cannot be had."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # asyncio sends what is small at once (TCP_NODELAY) only where the protocol is named.
        listening = socket.socket(family, kind, protocol)
        try:
            if sys.platform == "win32":  # there SO_REUSEADDR lets a second server have the same port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:  # a name that cannot be one is the latter
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen on {host}, port {port}: {reason}", remedy="choose another --host or --port"
        ) from error
    listening.set_inheritable(False)
    return listening


class JsonFormatter(logging.Formatter):
    """Logs for machines: one JSON object a line, with no image content and no file names."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {"time": f"{when}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        line["message"] = record.getMessage()
        line |= {name: getattr(record, name) for name in _LOGGED if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _configure_logs() -> None:
    """Send the logs of the service and of its HTTP server to standard error."""
    own = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "loggers": {
                "facegender.server": own,
                # What it tells below a warning is in our own lines, or of no use.
                "uvicorn": {**own, "level": "WARNING"},
                "asyncio": {**own, "level": "WARNING"},
                # It quotes what clients send.
                "python_multipart": {**own, "level": "CRITICAL"},
            },
        }
    )
