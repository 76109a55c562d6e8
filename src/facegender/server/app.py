"""The application: its life, its middleware and what it answers to errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from facegender._version import __version__
from facegender.server import openapi
from facegender.server.middleware import CLIENT_CLOSED, RequestMiddleware
from facegender.server.pages import add_page
from facegender.server.problems import ProblemError, invalid, unrouted
from facegender.server.routes import add_routes
from facegender.server.service import ClientClosedError, Service

_ABOUT = """Photos in, the faces in them out, each with a calibrated probability of how it is likely to be *perceived*.

Nothing is kept: photos are held in memory until they are answered, and are neither stored nor logged."""

#: Seconds in which idle worker processes end.
_CLOSE_TIMEOUT = 10.0


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
        if isinstance(error, ProblemError):
            problem = error.problem
        elif isinstance(error, RequestValidationError):
            problem = invalid(error)
        else:
            assert isinstance(error, HTTPException)
            problem = unrouted(request, error)
        service.metrics.rejected(problem.kind)
        return problem.response

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
    add_page(app)
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
