"""HTTP on a connection, with an end to everything that a client can draw out."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from facegender.server.problems import MEDIA_TYPE, Problem

#: Bytes of the headers of one request.
MAX_HEADER_BYTES = 16_384
#: Connections beyond these are closed at once; each may hold up to 64 kB before its request is looked at.
MAX_CONNECTIONS = 1000
#: Seconds for the headers of a request, and for the rest of a body after its request was refused.
_PATIENCE = 10.0
#: Bytes of such a rest. It is read at all since many clients look at the answer only when they have sent everything.
_IN_VAIN = 8 * 2**20


class Protocol(H11Protocol):
    """uvicorn's, which waits for ever for headers, and for the end of a body that nobody reads."""

    _watchdog: asyncio.TimerHandle | None = None
    _in_vain = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """A client has sent something."""
        super().data_received(data)
        if self._sending_in_vain:
            self._in_vain += len(data)
            if self._in_vain > _IN_VAIN:
                self.transport.abort()
        else:
            self._in_vain = 0
        self._watch()

    def on_response_complete(self) -> None:
        """A request is answered."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """A client has gone."""
        super().connection_lost(exc)
        self._rest()

    def send_400_response(self, msg: str) -> None:
        """Answer to what is not HTTP, or has too much in its headers."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is on its way already
            self.transport.close()
            return
        problem = Problem("bad_request", "this is not HTTP, or its headers are too large")
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
    def _sending_in_vain(self) -> bool:
        """Whether the client sends the body of a request that has been answered."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle.response_complete

    def _watch(self) -> None:
        """Begin to lose patience, or stop, by what the client is about."""
        sending_headers = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        if not (sending_headers or self._sending_in_vain) or self.transport.is_closing():
            self._rest()
        elif self._watchdog is None:
            self._watchdog = self.loop.call_later(_PATIENCE, self._end)

    def _rest(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _end(self) -> None:
        self._watchdog = None
        self.transport.abort()
