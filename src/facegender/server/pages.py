"""The page and its files."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Iterator

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, Response, StreamingResponse

from facegender.page import HEADERS, Asset, assets

#: Bytes that are unpacked at a time.
_CHUNK = 65_536


def add_page(app: FastAPI) -> None:
    """Serve the page at ``/`` and its files below.

    Raises:
        WeightsError: as for `facegender.page.assets`.
    """
    for name, asset in assets().items():
        _add(app, f"/{name}", asset)
        if name == "index.html":
            _add(app, "/", asset)


def _add(app: FastAPI, path: str, asset: Asset) -> None:
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
