"""The OpenAPI document, where FastAPI does not write it by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from facegender.server.problems import MEDIA_TYPE, ProblemError
from facegender.wire import ANALYZE, CLASSIFY, PROBLEMS, Analysis, Classification, ProblemDetails, UsedModel

_FILE = {"type": "string", "format": "binary"}
_RETRY_AFTER = {
    "description": "Seconds until it may be worth while to try again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}

_MODEL: UsedModel = {"name": "research", "sha256": "97db4d40...", "min_confidence": 0.947}
_ANALYSIS: Analysis = {
    "model": _MODEL,
    "photos": [
        {
            "path": "group.jpg",
            "width": 512,
            "height": 512,
            "weight": 1.0,
            "faces": [
                {
                    "box": [177.9, 68.5, 88.1, 118.3],
                    "score": 0.9412,
                    "quality": 0.9021,
                    "landmarks": [[200.1, 113.4], [242.9, 112.8], [224.2, 137.0], [206.3, 159.2], [239.9, 158.7]],
                    "p_male": 0.0183,
                    "label": "female",
                }
            ],
            "error": None,
        },
        {
            "path": "notes.txt",
            "width": None,
            "height": None,
            "weight": 1.0,
            "faces": [],
            "error": {"kind": "not_an_image", "message": "notes.txt is not an image of a supported format"},
        },
    ],
}
_CLASSIFICATION: Classification = {
    "model": _MODEL,
    "predictions": [{"p_male": 0.0183, "label": "female"}, {"p_male": 0.8125, "label": "uncertain"}],
}


def responses(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with."""
    statuses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, description = PROBLEMS[kind]
        schema = {"$ref": "#/components/schemas/ProblemDetails"}
        entry = statuses.setdefault(
            status, {"description": description, "content": {MEDIA_TYPE: {"schema": schema, "examples": {}}}}
        )
        if description not in entry["description"]:
            entry["description"] += f" {description}"
        entry["content"][MEDIA_TYPE]["examples"][kind] = {"value": ProblemError(kind, description).to_dict()}
        if kind in ("busy", "not_ready"):
            entry["headers"] = {"Retry-After": _RETRY_AFTER}
    return statuses


def request_body(field: str, media_types: Sequence[str]) -> dict[str, Any]:
    """A body that is a form with files, or the bytes of one file of these types."""
    form = {
        "type": "object",
        "required": [field],
        "additionalProperties": False,
        "properties": {field: {"type": "array", "items": _FILE, "minItems": 1}},
    }
    raw = {media_type: {"schema": _FILE} for media_type in media_types}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}}


def complete(app: FastAPI) -> None:
    """Add to the document of an application what FastAPI does not know, and remove what it wrongly assumes."""
    document = app.openapi()
    schemas = document["components"]["schemas"]
    schemas["ProblemDetails"] = TypeAdapter(ProblemDetails).json_schema()
    for schema in schemas.values():
        schema["additionalProperties"] = False
    for path, example in ((ANALYZE, _ANALYSIS), (CLASSIFY, _CLASSIFICATION)):  # FastAPI leaves out their nulls
        document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["example"] = example
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                # It may be left out, but there is no word for None.
                types = parameter["schema"].pop("anyOf", [])
                parameter["schema"] |= next((each for each in types if each != {"type": "null"}), {})
