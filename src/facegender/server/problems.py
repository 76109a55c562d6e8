"""How a request is refused: problem details as in RFC 9457, for every error there is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_URN = "urn:facegender:problem:"

#: Kind of a problem to its status and what programs may be told of it in the OpenAPI document.
KINDS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request is not what HTTP or its content type says it is."),
    "host": (400, "The service is not known by the name in the header Host."),
    "unauthorized": (401, "The bearer token is missing or wrong."),
    "origin": (403, "A web page that the service does not know sent this."),
    "not_found": (404, "There is nothing at this path."),
    "method_not_allowed": (405, "The path does not take this method."),
    "body_timeout": (408, "The body took too long to come."),
    "too_large": (413, "The body has more bytes, or more photos, than one request may have."),
    "unsupported_media_type": (415, "The content type is not taken here, or the body is compressed."),
    "invalid": (422, "A parameter or the body is not what it must be; `detail` names it."),
    "busy": (429, "Too much waits already; `Retry-After` says when it should be done."),
    "headers_too_large": (431, "Too many headers."),
    "failed": (500, "The service failed, and its log says why."),
    "not_ready": (503, "The service is starting, or about to end."),
}


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="`urn:facegender:problem:` and the kind.")
    title: str = Field(description="What the status means.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What is wrong with this request, for people.")
    kind: str = Field(description="A stable word for programs.", json_schema_extra={"enum": list(KINDS)})


@dataclass(frozen=True)
class Problem:
    """What a client is told.

    Attributes:
        kind: one of `KINDS`.
        detail: a sentence for people.
        headers: of the answer, beside its content type.
    """

    kind: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Of the answer."""
        return KINDS[self.kind][0]

    def to_dict(self) -> dict[str, Any]:
        """The fields of `ProblemDetails`."""
        return {
            "type": _URN + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "kind": self.kind,
        }

    @property
    def content(self) -> bytes:
        """The body of the answer."""
        return json.dumps(self.to_dict()).encode()

    @property
    def response(self) -> Response:
        """The answer."""
        return Response(self.content, self.status, self.headers, MEDIA_TYPE)


class ProblemError(Exception):
    """A request is refused; `problem` says why."""

    def __init__(self, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        self.problem = Problem(kind, detail, headers or {})
        super().__init__(detail)


def responses(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """What a route may answer with, for its OpenAPI document."""
    statuses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, description = KINDS[kind]
        entry = statuses.setdefault(
            status,
            {
                "description": description,
                "content": {
                    MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": {}},
                },
            },
        )
        if description not in entry["description"]:
            entry["description"] += f" {description}"
        entry["content"][MEDIA_TYPE]["examples"][kind] = {"value": Problem(kind, description).to_dict()}
        if kind in ("busy", "not_ready"):
            entry["headers"] = {
                "Retry-After": {
                    "description": "Seconds until it may be worth while to try again.",
                    "required": True,
                    "schema": {"type": "integer", "minimum": 1},
                }
            }
    return statuses


async def on_problem(_: Request, error: Exception) -> Response:
    """The answer to a `ProblemError`."""
    assert isinstance(error, ProblemError)
    return error.problem.response


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The answer where no route fits."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return Problem("not_found", "there is nothing at this path").response
    if error.status_code == 405:
        allow = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        return Problem("method_not_allowed", f"this path does not take {request.method[:20]}", allow).response
    kind = "bad_request" if error.status_code < 500 else "failed"
    return Problem(kind, str(error.detail)).response


async def on_invalid(_: Request, error: Exception) -> Response:
    """The answer where a parameter is not of its type or out of its range."""
    assert isinstance(error, RequestValidationError)
    faults = (f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors())
    return Problem("invalid", "; ".join(faults)).response
