"""How a request is refused: problem details as in RFC 9457, for every error."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Collection
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from facegender.wire import PROBLEMS, ProblemDetails

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """Why a request is refused.

    Args:
        kind: one of `PROBLEMS`.
        detail: a sentence for people.
        headers: of the response, beside its content type.
    """

    def __init__(self, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self._headers = kind, detail, headers

    @property
    def status(self) -> int:
        """HTTP status of the response."""
        return PROBLEMS[self.kind].status

    def to_dict(self) -> ProblemDetails:
        """The body of the response."""
        return {
            "type": f"urn:facegender:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "kind": self.kind,
        }

    @property
    def content(self) -> bytes:
        """The body of the response, as JSON."""
        return json.dumps(self.to_dict()).encode()

    @property
    def response(self) -> Response:
        """The response."""
        return Response(self.content, self.status, self._headers, MEDIA_TYPE)


def unknown_name(what: str, name: str, known: Collection[str]) -> ProblemError:
    """The problem of a parameter or form field that does not exist; it names the most similar one that does."""
    name = printable(name, 80)
    similar = difflib.get_close_matches(name.lower(), known, 1, cutoff=0)
    hint = f"the closest known one is {similar[0]!r}" if similar else "this path takes none"
    return ProblemError("invalid", f"unknown {what} {name!r}; {hint}")


def printable(text: str, length: int) -> str:
    """The beginning of a client's text, with control and formatting characters replaced."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in text[:length])


def unrouted(request: Request, error: HTTPException) -> ProblemError:
    """The problem of a request that no route takes."""
    if error.status_code == 404:
        return ProblemError("not_found", "there is nothing at this path")
    if error.status_code == 405:
        allow = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        return ProblemError("method_not_allowed", f"this path does not take {request.method[:20]}", allow)
    kind = "bad_request" if error.status_code < 500 else "failed"
    return ProblemError(kind, str(error.detail))


def invalid(error: RequestValidationError) -> ProblemError:
    """The problem of a parameter that is not of its type or out of its range."""
    faults = (f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in error.errors())
    return ProblemError("invalid", "; ".join(faults))
