"""HTTP on a connection, with a time limit on everything that a client can delay."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from facegender.server.problems import MEDIA_TYPE, ProblemError

#: Bytes of the headers of one request.
MAX_HEADER_BYTES = 16_384
#: Further connections are closed at once; each may hold up to 64 kB before its request is read.
MAX_CONNECTIONS = 1000
#: Seconds for the headers of a request, and for the rest of a body after its request was refused.
_HEADER_TIMEOUT = 10.0
#: Bytes of such a body that are read and discarded: many clients read the answer only once they have sent everything.
_MAX_DISCARDED = 8 * 2**20
#: Seconds in which a client must take some of its answer.
_SEND_TIMEOUT = 30.0


class Protocol(H11Protocol):
    """uvicorn's, which has no time limit for headers and for the end of a body that is not read."""

    _watchdog: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._update_watchdog()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._discarding:
            self._discarded += len(data)
            if self._discarded > _MAX_DISCARDED:
                self.transport.abort()
        else:
            self._discarded = 0
        self._update_watchdog()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._update_watchdog()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watchdog()
        self._stop_stalled()

    def pause_writing(self) -> None:
        """A client takes its answer more slowly than it is made."""
        super().pause_writing()
        self._stalled = self.loop.call_later(_SEND_TIMEOUT, self._abort)

    def resume_writing(self) -> None:
        """A client has taken what was ready for it."""
        super().resume_writing()
        self._stop_stalled()

    def send_400_response(self, msg: str) -> None:
        """Answer to what is not HTTP, or has too much in its headers."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is on its way already
            self.transport.close()
            return
        problem = ProblemError("bad_request", "this is not HTTP, or its headers are too large")
        headers = [("content-type", MEDIA_TYPE), ("connection", "close"), ("content-length", str(len(problem.content)))]
        events: list[Any] = [
            h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request"),
            h11.Data(data=problem.content),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _discarding(self) -> bool:
        """Whether the client is still sending the body of a request that was answered."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete

    def _update_watchdog(self) -> None:
        """Start or stop the timer of headers and discarded bodies, by what the client is sending."""
        sending_headers = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        if not (sending_headers or self._discarding) or self.transport.is_closing():
            self._stop_watchdog()
        elif self._watchdog is None:
            self._watchdog = self.loop.call_later(_HEADER_TIMEOUT, self._abort)

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _abort(self) -> None:
        self._watchdog = None
        self.transport.abort()
