"""The application: its life, its middleware, the page, and what it answers to errors."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response, StreamingResponse

from facegender._version import __version__
from facegender.page import HEADERS, Asset, assets
from facegender.server import openapi
from facegender.server.middleware import CLIENT_CLOSED, RequestMiddleware
from facegender.server.problems import ProblemError, invalid, unrouted
from facegender.server.routes import add_routes
from facegender.server.service import ClientClosedError, Service

_ABOUT = """Photos in, the faces in them out, each with a calibrated probability of how it is likely to be *perceived*.

Nothing is kept: photos are held in memory until they are answered, and are neither stored nor logged."""

#: Seconds in which idle worker processes end.
_CLOSE_TIMEOUT = 10.0
#: Bytes of the page that are unpacked at a time.
_CHUNK = 65_536


def create_app(service: Service) -> FastAPI:
    """The application; its lifespan starts and closes the workers.

    Raises:
        WeightsError: as for `facegender.page.assets`.
    """
    settings = service.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        service.draining = True
        service.batcher.close(0 if service.batcher.aborted else _CLOSE_TIMEOUT)

    async def on_problem(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            error = invalid(error)
        elif isinstance(error, HTTPException):
            error = unrouted(request, error)
        assert isinstance(error, ProblemError)
        service.metrics.rejected.labels(error.kind).inc()
        return error.response

    app = FastAPI(
        title="facegender",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            ProblemError: on_problem,
            HTTPException: on_problem,
            RequestValidationError: on_problem,
            ClientClosedError: _on_client_closed,
            ClientDisconnect: _on_client_closed,
        },
    )
    add_routes(app, service)
    for name, asset in assets().items():
        _add_asset(app, f"/{name}", asset)
        if name == "index.html":
            _add_asset(app, "/", asset)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["*"],  # the routes have their own answer to methods that they do not take
            allow_headers=["*"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    app.add_middleware(RequestMiddleware, metrics=service.metrics, hosts=settings.hosts, origins=settings.origins)
    openapi.complete(app)
    return app


async def _on_client_closed(_: Request, __: Exception) -> Response:
    """Not received by anyone: the client has closed its connection."""
    return Response(status_code=CLIENT_CLOSED)


def _add_asset(app: FastAPI, path: str, asset: Asset) -> None:
    digest = hashlib.sha256(asset.read()).hexdigest()

    async def respond(request: Request) -> Response:
        unpacked = asset.gzipped and "gzip" not in request.headers.get("accept-encoding", "")
        etag = f'"{digest}-unpacked"' if unpacked else f'"{digest}"'
        headers = {**HEADERS, "ETag": etag, "Cache-Control": "no-cache"}
        if asset.gzipped:
            headers["Vary"] = "Accept-Encoding"
        known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        if asset.gzipped and not unpacked:
            headers["Content-Encoding"] = "gzip"
        if unpacked:
            return StreamingResponse(_unpacked(asset), headers=headers, media_type=asset.media_type)
        if isinstance(asset.content, bytes):
            return Response(asset.content, headers=headers, media_type=asset.media_type)
        return FileResponse(asset.content, headers=headers, media_type=asset.media_type)

    app.add_route(path, respond, methods=["GET", "HEAD"], include_in_schema=False)


def _unpacked(asset: Asset) -> Iterator[bytes]:
    """The content for clients that take no compression: rare, and never whole in memory."""
    content = io.BytesIO(asset.content) if isinstance(asset.content, bytes) else asset.content
    with gzip.open(content) as file:
        while chunk := file.read(_CHUNK):
            yield chunk
