"""What every request passes before its route: its number, its line in the log, the check of host and origin."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facegender.server.metrics import ServiceMetrics
from facegender.server.problems import ProblemError

logger = logging.getLogger(__name__)

#: A request with more is refused. Browsers send about 20, proxies add a few.
_MAX_HEADERS = 100
#: Characters of a path without a route that are logged.
_PATH_LENGTH = 100

#: The client closed its connection before it was answered; the status is seen in logs and metrics only.
CLIENT_CLOSED = 499


class RequestMiddleware:
    """Counts, logs and checks requests, and answers to unexpected errors.

    Args:
        hosts: names that requests may be addressed to; None for any.
        origins: web pages, beside the service's own, that may send requests.
    """

    def __init__(
        self, app: ASGIApp, metrics: ServiceMetrics, hosts: Collection[str] | None, origins: Collection[str]
    ) -> None:
        self._app, self._metrics, self._hosts, self._origins = app, metrics, hosts, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; other scopes are passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        request = secrets.token_hex(8)
        scope["state"] = {**scope.get("state", {}), "photos": 0, "bytes": 0}
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            problem = self._check(scope)
            if problem is None:
                await self._app(scope, receive, send_with_headers)
            else:
                self._metrics.rejected.labels(problem.kind).inc()
                await problem.response(scope, receive, send_with_headers)
        except Exception:
            logger.exception("a request failed", extra={"request": request})
            if status == 0:
                problem = ProblemError("failed", "the service failed; its log has the reason", {"Connection": "close"})
                await problem.response(scope, receive, send_with_headers)
        finally:
            self._record(scope, request, status or CLIENT_CLOSED, time.monotonic() - begun)

    def _check(self, scope: Scope) -> ProblemError | None:
        headers = Headers(scope=scope)
        if len(headers) > _MAX_HEADERS:
            return ProblemError("headers_too_large", f"more than {_MAX_HEADERS} headers", {"Connection": "close"})
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may believe the other one
            return ProblemError("bad_request", "both Content-Length and Transfer-Encoding", {"Connection": "close"})
        host = headers.get("host", "")
        if self._hosts is not None and _without_port(host) not in self._hosts:
            return ProblemError("host", "the service is not known by the name in the header Host")
        origin = headers.get("origin")
        preflight = scope["method"] == "OPTIONS" and self._origins  # else there is no such method
        if origin is None or (scope["method"] in ("GET", "HEAD", "OPTIONS") and not preflight):
            return None
        same = host and origin.partition("://")[2].lower() == host.lower()
        if same or not {"*", origin}.isdisjoint(self._origins):
            return None
        return ProblemError("origin", "a web page that the service does not know sent this")

    def _record(self, scope: Scope, request: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None)
        self._metrics.request(scope["method"], route or "other", status, seconds)
        if status == CLIENT_CLOSED:
            self._metrics.disconnected.inc()
        fields = {
            "request": request,
            "method": scope["method"][:20],
            "path": route or scope["path"][:_PATH_LENGTH],
            "status": status,
            "ms": round(1000 * seconds, 1),
            "photos": scope["state"]["photos"],
            "bytes": scope["state"]["bytes"],
        }
        logger.info("request", extra=fields)


def _without_port(host: str) -> str:
    """The name in a header Host, in lower case; of an IPv6 address with its brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.rsplit(":", 1)[0] if ":" in host else host
