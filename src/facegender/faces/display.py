"""Results for people who work with them: as a data frame, and as shown in notebooks."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import PIL.Image

from facegender.errors import PhotoReadError, needs
from facegender.faces.annotate import annotate
from facegender.faces.decode import decode
from facegender.faces.types import PhotoResult

#: Pixels of the longest side of a picture in a notebook.
_LONGEST_SIDE = 800
_COLUMNS = ("face", "x", "y", "w", "h", "score", "quality", "p_male", "label")


def frame_of(result: PhotoResult) -> Any:
    """The rows of a result as `PhotoResult.to_frame` has them."""
    rows = _rows(result.to_dict())
    return require_pandas().DataFrame(rows, columns=list(rows[0]))


def require_pandas() -> Any:
    """The module pandas; MissingExtraError where it is not installed."""
    with needs("pandas", "survey"):
        import pandas
    return pandas


def _rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    error = record["error"] or {"kind": None, "message": None}
    photo = {name: record[name] for name in ("path", "width", "height", "weight")}
    errors = {"error_kind": error["kind"], "error_message": error["message"]}
    faces = [
        {"face": number, **dict(zip("xywh", face["box"], strict=True)), **face}
        for number, face in enumerate(record["faces"])
    ]
    return [{**photo, **{name: face.get(name) for name in _COLUMNS}, **errors} for face in faces or [{}]]


def png_of(result: PhotoResult) -> bytes | None:
    """A PNG file of the picture with the answers drawn in; None where its file cannot be read or is another by now."""
    if result.error is not None or not result.path:
        return None
    try:
        image = decode(result.path)
    except PhotoReadError:
        return None
    if image.shape[:2] != (result.height, result.width):
        return None
    drawn = PIL.Image.fromarray(annotate(image, result))
    drawn.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def html_of(result: PhotoResult) -> str:
    """The picture and a table of the faces."""
    caption = f"<p>{html.escape(repr(result))}</p>"
    png = png_of(result)
    picture = "" if png is None else f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    return picture + caption + html_table(_COLUMNS, _rows(result.to_dict()) if result.faces else [])


def html_table(columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> str:
    """Some columns of records as an HTML table; empty without records."""
    if not records:
        return ""
    head = "".join(f"<th>{name}</th>" for name in columns)
    rows = ("".join(f"<td>{html.escape(str(record[name]))}</td>" for name in columns) for record in records)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
