"""The routes of the service."""

from __future__ import annotations

import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from facegender._version import __version__
from facegender.faces.types import CROP_SIZE, PhotoResult
from facegender.inference.classifier import prediction_for
from facegender.server import problems, schemas
from facegender.server.bodies import BodyRules, Part, check_headers, read_parts
from facegender.server.guard import GONE, Guard
from facegender.server.pages import add_page
from facegender.server.problems import ProblemDetails, ProblemError, responses
from facegender.server.service import Chosen, ClientGoneError, Service
from facegender.server.work import CROP_BYTES, TASK_CROPS, Answer, CropAnswer, CropTask, PhotoTask

_ABOUT = """Photos in, the faces in them out, each with a calibrated probability of how it is likely to be *perceived*.

Nothing is kept: photos are held in memory until they are answered, and are neither stored nor logged."""

#: What any route may answer, and what those may that take a body or ask for the token.
_ALL = ("bad_request", "host", "method_not_allowed", "headers_too_large", "failed")
_WORK = ("origin", "body_timeout", "too_large", "unsupported_media_type", "invalid", "busy", "not_ready")

#: Seconds in which processes that have nothing to do come to their end.
_CLOSING = 10.0

_FILE = {"type": "string", "format": "binary"}


def create_app(service: Service) -> FastAPI:
    """The application; its lanes are started and closed by its lifespan.

    Raises:
        WeightsError: as for `facegender.page.assets`.
    """
    settings = service.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.lanes.start()
        yield
        service.draining = True
        service.lanes.close(0 if service.lanes.gave_up else _CLOSING)

    app = FastAPI(
        title="facegender",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            ProblemError: _counting(service),
            HTTPException: problems.on_http_exception,
            RequestValidationError: problems.on_invalid,
            ClientGoneError: _on_gone,
            ClientDisconnect: _on_gone,
        },
    )
    app.state.service = service
    _add_routes(app, service)
    add_page(app)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["*"],  # the routes have their own answer to those that they do not take
            allow_headers=["*"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    app.add_middleware(Guard, metrics=service.metrics, hosts=settings.hosts, origins=settings.origins)
    _describe(app)
    return app


def _counting(service: Service) -> Any:
    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        service.metrics.rejected(error.problem.kind)
        return await problems.on_problem(request, error)

    return on_problem


async def _on_gone(_: Request, __: Exception) -> Response:
    """For nobody to see: the client has closed its connection."""
    return Response(status_code=GONE)


class _Json(Response):
    """An answer that is made of what json knows."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


def _add_routes(app: FastAPI, service: Service) -> None:
    limits, token = service.limits, service.settings.token
    bearer = Depends(HTTPBearer(auto_error=False, description="The token that the service was started with."))

    async def authorized(given: HTTPAuthorizationCredentials | None = bearer) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), (token or "").encode()):
            raise ProblemError("unauthorized", "this needs the service's bearer token", {"WWW-Authenticate": "Bearer"})

    locked: dict[str, Any] = {"dependencies": [Depends(authorized)]} if token is not None else {}
    lock = ("unauthorized",) if token is not None else ()
    rates = [float(rate) for card in service.cards.values() for rate in card.confidence_for_error]

    names = list(service.cards)
    named = Query(
        None, description="A name from `/v1/models`.", examples=[service.default], json_schema_extra={"enum": names}
    )
    error_rate = Query(
        None,
        ge=min(rates),
        lt=0.5,
        allow_inf_nan=False,
        examples=[max(min(rates), 0.05)],
        description="Answer `uncertain` so often that at most this share of the other answers is wrong, on faces like "
        "those that the network was validated on. 0.01 unless one of the two is given.",
    )
    confidence = Query(
        None,
        ge=0.5,
        le=1,
        allow_inf_nan=False,
        examples=[0.9],
        description="Instead of `max_error`: answers less probable than this are `uncertain`.",
    )

    async def chosen(
        model: str | None = named, max_error: float | None = error_rate, min_confidence: float | None = confidence
    ) -> Chosen:
        return service.choose(model, max_error, min_confidence)

    choice = Depends(chosen)
    photo_rules = BodyRules(
        "photo",
        limits.max_photos,
        limits.max_bytes,
        limits.body_timeout,
        lambda kind: kind.startswith("image/") or kind == "application/octet-stream",
    )
    crop_rules = BodyRules(
        "crop", limits.max_queue, limits.max_bytes, limits.body_timeout, lambda kind: kind == "application/octet-stream"
    )

    @app.post(
        "/v1/analyze",
        summary="Find the faces of photos and classify them",
        description="The photos come as the fields `photo` of a form, or one as raw bytes. A photo that cannot be "
        "read has an `error` and costs the others nothing.",
        response_model=schemas.Analysis,
        responses=responses(*_ALL, *lock, *_WORK),
        openapi_extra={"requestBody": _request_body("photo", ["image/*", "application/octet-stream"])},
        **locked,
    )
    async def analyze(request: Request, used: Chosen = choice) -> Response:
        with service.holding(request) as hold:
            parts = await _read(service, request, photo_rules, hold)
            request.state.photos = len(parts)
            tasks = [PhotoTask(used.card.name, part.name, part.data) for part in parts]
            results = [_photo(answer) for answer in await service.answer(request, tasks)]
        service.metrics.photos(
            used.card.name,
            [len(result.faces) for result in results],
            [result.error.kind for result in results if result.error is not None],
        )
        return _Json({"model": used.to_dict(), "photos": [_record(result, used) for result in results]})

    @app.post(
        "/v1/classify",
        summary="Classify aligned crops",
        description=f"N x {CROP_SIZE} x {CROP_SIZE} x 3 bytes, RGB, row after row; or image files of {CROP_SIZE} x "
        f"{CROP_SIZE} pixels as the fields `crop` of a form. They must be aligned as the model's `template` says.",
        response_model=schemas.Classification,
        responses=responses(*_ALL, *lock, *_WORK),
        openapi_extra={"requestBody": _request_body("crop", ["application/octet-stream"])},
        **locked,
    )
    async def classify(request: Request, used: Chosen = choice) -> Response:
        with service.holding(request) as hold:
            parts = await _read(service, request, crop_rules, hold)
            tasks = _crop_tasks(used, parts, raw=not request.headers["content-type"].lower().startswith("multipart"))
            answers = await service.answer(request, tasks)
        p_male = [p for task, answer in zip(tasks, answers, strict=True) for p in _p_male(task, answer)]
        service.metrics.crops(used.card.name, len(p_male))
        predictions = [asdict(prediction_for(p, used.min_confidence)) for p in p_male]
        return _Json({"model": used.to_dict(), "predictions": predictions})

    @app.get(
        "/v1/models",
        summary="The models and limits of this service",
        response_model=schemas.Models,
        responses=responses(*_ALL, *lock),
        **locked,
    )
    async def models() -> Response:
        return _Json(_models(service))

    @app.get("/healthz", summary="Whether the service lives", response_model=schemas.Health, responses=responses(*_ALL))
    async def healthz() -> Response:
        return _Json({"status": "ok"})

    @app.get(
        "/readyz",
        summary="Whether it takes requests",
        response_model=schemas.Health,
        responses=responses(*_ALL, "not_ready"),
    )
    async def readyz() -> Response:
        if not service.ready:
            detail = "the service is about to end" if service.draining else "no worker is ready"
            raise ProblemError("not_ready", detail, {"Retry-After": "1"})
        return _Json({"status": "ready"})

    @app.get(
        "/metrics",
        summary="Counts for Prometheus",
        response_class=Response,
        responses={
            200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **responses(*_ALL, *lock),
        },
        **locked,
    )
    async def metrics() -> Response:
        content, media_type = service.metrics.text()
        return Response(content, media_type=media_type)


async def _read(service: Service, request: Request, rules: BodyRules, hold: Any) -> list[Part]:
    """The files of a request, once there seems to be room for them."""
    _, boundary, declared = check_headers(request, rules)
    service.admit(1, declared)
    return await read_parts(request, rules, boundary, hold)


def _photo(answer: Answer) -> PhotoResult:
    assert isinstance(answer, PhotoResult)
    return answer


def _record(result: PhotoResult, used: Chosen) -> dict[str, Any]:
    """The record of a photo, with the labels that the request asks for."""
    record = result.to_dict()
    for face, found in zip(record["faces"], result.faces, strict=True):
        answer = prediction_for(found.prediction.p_male, used.min_confidence)
        face["label"] = answer.for_quality(found.face.quality).label
    return record


def _crop_tasks(used: Chosen, parts: Sequence[Part], *, raw: bool) -> list[CropTask]:
    if not raw:
        return [CropTask(used.card.name, f"crop {number}", part.data, True) for number, part in enumerate(parts)]
    [part] = parts
    if not part.data or len(part.data) % CROP_BYTES:
        raise ProblemError(
            "invalid", f"the body must have N x {CROP_SIZE} x {CROP_SIZE} x 3 bytes, N from 1 on, not {len(part.data)}"
        )
    size = TASK_CROPS * CROP_BYTES
    return [
        CropTask(used.card.name, "the body", part.data[start : start + size], False)
        for start in range(0, len(part.data), size)
    ]


def _p_male(task: CropTask, answer: Answer) -> tuple[float, ...]:
    assert isinstance(answer, CropAnswer)
    if answer.error is None:
        return answer.p_male
    raise ProblemError("invalid", f"{task.name}: {answer.error.message}")


def _models(service: Service) -> dict[str, Any]:
    fields = schemas.ModelRecord.model_fields
    detector, limits = schemas.DetectorRecord.model_fields, schemas.LimitsRecord.model_fields
    cards = [card.to_dict() for card in service.cards.values()]
    return {
        "version": __version__,
        "models": [{name: card[name] for name in fields} for card in cards],
        "default": service.default,
        "detector": {name: getattr(service.detector, name) for name in detector},
        "limits": {name: getattr(service.limits, name) for name in limits},
    }


def _request_body(name: str, raw: Sequence[str]) -> dict[str, Any]:
    form = {
        "type": "object",
        "required": [name],
        "additionalProperties": False,
        "properties": {name: {"type": "array", "items": _FILE, "minItems": 1}},
    }
    kinds = {kind: {"schema": _FILE} for kind in raw}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **kinds}}


def _describe(app: FastAPI) -> None:
    """Let the OpenAPI document have what FastAPI does not know of, and nothing of what it supposes."""
    document = app.openapi()
    document["components"]["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema()
    for path, example in schemas.EXAMPLES.items():  # FastAPI leaves out what is null in an example
        document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["example"] = example
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                # It may be left out, but there is no word for None.
                kinds = parameter["schema"].pop("anyOf", [])
                parameter["schema"] |= next((kind for kind in kinds if kind != {"type": "null"}), {})
