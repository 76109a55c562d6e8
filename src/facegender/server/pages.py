"""The page, as the service gives it out."""

from __future__ import annotations

import hashlib

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, Response

from facegender.page import HEADERS, Asset, assets


def add_page(app: FastAPI) -> None:
    """Give out the page at ``/`` and its files below.

    Raises:
        WeightsError: as for `facegender.page.assets`.
    """
    for name, asset in assets().items():
        _add(app, f"/{name}", asset)
        if name == "index.html":
            _add(app, "/", asset)


def _add(app: FastAPI, path: str, asset: Asset) -> None:
    digest = hashlib.sha256(asset.read()).hexdigest()

    async def give(request: Request) -> Response:
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
        if unpacked or isinstance(asset.content, bytes):
            return Response(asset.read(unpacked=unpacked), headers=headers, media_type=asset.media_type)
        return FileResponse(asset.content, headers=headers, media_type=asset.media_type)

    app.add_route(path, give, methods=["GET", "HEAD"], include_in_schema=False)
