"""The routes of the service."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from typing import Any, cast

from fastapi import Depends, FastAPI, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from facegender import wire
from facegender._version import __version__
from facegender.faces.types import CROP_SIZE, PhotoError, PhotoResult
from facegender.inference.classifier import prediction_for
from facegender.server.bodies import BodyRules, Part, read_parts
from facegender.server.openapi import request_body, responses
from facegender.server.problems import ProblemError, unknown_name
from facegender.server.service import SelectedModel, Service
from facegender.server.worker import Answer, ServiceTask

#: Problems of every route, and of those that take a body.
_COMMON = ("bad_request", "host", "method_not_allowed", "headers_too_large", "failed")
_BODY = ("origin", "body_timeout", "too_large", "unsupported_media_type", "invalid", "busy", "not_ready")


class _Json(Response):
    """A response of what json knows."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


def add_routes(app: FastAPI, service: Service) -> None:
    """Add all routes but the page's."""
    limits, token = service.limits, service.settings.token
    bearer = Depends(HTTPBearer(auto_error=False, description="The token that the service was started with."))

    async def authorized(given: HTTPAuthorizationCredentials | None = bearer) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), (token or "").encode()):
            raise ProblemError("unauthorized", "this needs the service's bearer token", {"WWW-Authenticate": "Bearer"})

    lock = [] if token is None else [Depends(authorized)]
    unauthorized = [] if token is None else ["unauthorized"]
    selection = Depends(_selection(service))
    parameters = Depends(_only(wire.Parameters.__annotations__))
    photo_rules = BodyRules(wire.PHOTO_FIELD, limits.max_photos, limits, images=True)
    crop_rules = BodyRules(wire.CROP_FIELD, limits.max_queue, limits, images=False)

    @app.post(
        wire.ANALYZE,
        summary="Find the faces of photos and classify them",
        description=f"The photos come as the fields `{wire.PHOTO_FIELD}` of a form, or one as raw bytes. A photo that "
        "cannot be read has an `error` and costs the others nothing.",
        response_model=wire.Analysis,
        responses=responses(*_COMMON, *unauthorized, *_BODY),
        openapi_extra=request_body(wire.PHOTO_FIELD, ["image/*", wire.OCTETS]),
        dependencies=[*lock, parameters],
    )
    async def analyze(request: Request, selected: SelectedModel = selection) -> Response:
        with service.reserving(request) as reserve:
            parts = await read_parts(request, photo_rules, service.admit, reserve)
            request.state.photos = len(parts)
            tasks = [ServiceTask(selected.card.name, part.name or "", part.data, "photo") for part in parts]
            results = cast("list[PhotoResult]", await service.answer(request, tasks))
        service.metrics.photos(selected.card.name, results)
        return _Json({"model": selected.to_dict(), "photos": [_record(result, selected) for result in results]})

    @app.post(
        wire.CLASSIFY,
        summary="Classify aligned crops",
        description=f"N x {CROP_SIZE} x {CROP_SIZE} x 3 bytes, RGB, row after row; or image files of {CROP_SIZE} x "
        f"{CROP_SIZE} pixels as the fields `{wire.CROP_FIELD}` of a form. They must be aligned as the model's "
        "`template` says.",
        response_model=wire.Classification,
        responses=responses(*_COMMON, *unauthorized, *_BODY),
        openapi_extra=request_body(wire.CROP_FIELD, [wire.OCTETS]),
        dependencies=[*lock, parameters],
    )
    async def classify(request: Request, selected: SelectedModel = selection) -> Response:
        with service.reserving(request) as reserve:
            parts = await read_parts(request, crop_rules, service.admit, reserve)
            tasks = [task for number, part in enumerate(parts) for task in _crop_tasks(selected, number, part)]
            answers = await service.answer(request, tasks)
        p_male = [p for task, answer in zip(tasks, answers, strict=True) for p in _p_male(task, answer)]
        service.metrics.crops.labels(selected.card.name).inc(len(p_male))
        predictions = [asdict(prediction_for(p, selected.min_confidence)) for p in p_male]
        return _Json({"model": selected.to_dict(), "predictions": predictions})

    @app.get(
        wire.MODELS,
        summary="The models and limits of this service",
        response_model=wire.Models,
        responses=responses(*_COMMON, *unauthorized, "invalid"),
        dependencies=[*lock, Depends(_only(()))],
    )
    async def models() -> Response:
        return _Json(_models(service))

    @app.get("/healthz", summary="Whether the service lives", response_model=wire.Health, responses=responses(*_COMMON))
    async def healthz() -> Response:
        return _Json({"status": "ok"})

    @app.get(
        "/readyz",
        summary="Whether it takes requests",
        response_model=wire.Health,
        responses=responses(*_COMMON, "not_ready"),
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
            **responses(*_COMMON, *unauthorized),
        },
        dependencies=lock,
    )
    async def metrics() -> Response:
        content, media_type = service.metrics.text()
        return Response(content, media_type=media_type)


def _only(known: Collection[str]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses query parameters with other names."""

    async def check(request: Request) -> None:
        for name in request.query_params:
            if name not in known:
                raise unknown_name("parameter", name, known)

    return check


def _selection(service: Service) -> Callable[..., Awaitable[SelectedModel]]:
    """The dependency that reads `wire.Parameters`."""
    names = list(service.cards)
    lowest = min(float(rate) for card in service.cards.values() for rate in card.confidence_for_error)
    model_name = Query(
        None, description=f"A name from `{wire.MODELS}`.", examples=[service.default], json_schema_extra={"enum": names}
    )
    error_rate = Query(
        None,
        ge=lowest,
        lt=0.5,
        allow_inf_nan=False,
        examples=[max(lowest, 0.05)],
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

    async def select(
        model: str | None = model_name, max_error: float | None = error_rate, min_confidence: float | None = confidence
    ) -> SelectedModel:
        return service.select(model, max_error, min_confidence)

    return select


def _record(result: PhotoResult, selected: SelectedModel) -> dict[str, Any]:
    """The record of a photo, with labels at the error rate of the request."""
    record = result.to_dict()
    for face, found in zip(record["faces"], result.faces, strict=True):
        answer = prediction_for(found.prediction.p_male, selected.min_confidence)
        face["label"] = answer.for_quality(found.face.quality).label
    return record


def _crop_tasks(selected: SelectedModel, number: int, part: Part) -> list[ServiceTask]:
    if part.name is not None:
        return [ServiceTask(selected.card.name, f"crop {number}", part.data, "crop")]
    if not part.data or len(part.data) % wire.CROP_BYTES:
        raise ProblemError(
            "invalid", f"the body must have N x {CROP_SIZE} x {CROP_SIZE} x 3 bytes, N from 1 on, not {len(part.data)}"
        )
    size = wire.CROPS_AT_ONCE * wire.CROP_BYTES
    pieces = (part.data[start : start + size] for start in range(0, len(part.data), size))
    return [ServiceTask(selected.card.name, "the body", piece, "pixels") for piece in pieces]


def _p_male(task: ServiceTask, answer: Answer) -> tuple[float, ...]:
    if isinstance(answer, PhotoError):
        raise ProblemError("invalid", f"{task.name}: {answer.message}")
    return cast("tuple[float, ...]", answer)


def _models(service: Service) -> wire.Models:
    cards = [card.to_dict() for card in service.cards.values()]
    return {
        "version": __version__,
        "models": [
            cast(wire.ModelRecord, {name: card[name] for name in wire.ModelRecord.__annotations__}) for card in cards
        ],
        "default": service.default,
        "detector": cast(
            wire.DetectorRecord,
            {name: getattr(service.detector, name) for name in wire.DetectorRecord.__annotations__},
        ),
        "limits": asdict(service.limits),
    }
