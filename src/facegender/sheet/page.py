"""The page of the report: one HTML file with all that is said, beside it the sheets of thumbnails."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote, urlsplit

from facegender._version import __version__
from facegender.errors import OutputError
from facegender.faces.decode import DEFAULT_MAX_PIXELS
from facegender.faces.types import Image, Prediction
from facegender.files import atomic_file
from facegender.formats.records import Record, visible
from facegender.formats.summary import Summary
from facegender.inference.pictures import MARK, check_folder
from facegender.machine import usable_cores
from facegender.page import assets
from facegender.prefetch import ahead
from facegender.sheet.thumbnails import ACROSS, SIDE, Thumbnails, remove_sheets, thumbnails
from facegender.sources import LocalFile, Source
from facegender.wording import counted

_STATIC = Path(__file__).parent / "static"
#: Bytes at the start of a page in which its mark stands.
_HEAD_BYTES = 1024


def check_report(folder: Path) -> None:
    """Make the folder of a report; OutputError where it cannot be written, or holds another page."""
    check_folder(folder)
    page = folder / "index.html"
    if page.exists():
        with page.open("rb") as file:
            if MARK.encode() not in file.read(_HEAD_BYTES):
                raise OutputError(f"{page} is not a report of facegender", remedy="choose another folder for --report")


def write_report(
    folder: Path,
    records: Iterable[tuple[Source, Record]],
    *,
    terms: str = "",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Path:
    """Write ``index.html`` and the sheets of thumbnails; a report that is there is replaced when all is done.

    Args:
        folder: as `check_report` leaves it.
        records: photos and their records. A photo is read again for the thumbnails of its faces.
        terms: of the use of the model.
        max_pixels: of the photos.

    Returns:
        The page.

    Raises:
        OutputError: the folder cannot be written.
    """

    def cut(pair: tuple[Source, Record]) -> tuple[Source, Record, list[Image | None]]:
        source, record = pair
        return source, record, thumbnails(source, record, max_pixels) if record["faces"] else []

    summary = Summary()
    photos: list[tuple[str, str | None]] = []
    faces: list[tuple[float, int | None, list[Any]]] = []
    errors: list[str] = []
    threads = usable_cores()
    with Thumbnails() as waiting:
        for source, record, found in ahead(cut, records, threads=threads, waiting=2 * threads):
            summary.add(record)
            name, link = visible(record["path"]), link_to(source, folder)
            if record["error"] is not None:
                errors.append(_error_item(name, link, record["error"]))
            if found:
                photos.append((name, link))
            for number, (face, thumbnail) in enumerate(zip(record["faces"], found, strict=True)):
                p_male, label = face["p_male"], face["label"]
                text = str(Prediction(p_male, label))
                about = [len(photos) - 1, number, p_male, face["quality"], label, text, thumbnail is not None]
                faces.append((p_male, None if thumbnail is None else waiting.add(thumbnail), about))
        faces.sort(key=lambda face: face[0])
        sheets = waiting.write_sheets([number for _, number, _ in faces], folder)
    data = {"side": SIDE, "across": ACROSS, "sheets": sheets, "photos": photos, "faces": [face[2] for face in faces]}
    page = folder / "index.html"
    with atomic_file(page) as temporary:
        temporary.write_text(_page(summary, data, errors, terms), encoding="utf-8")
    remove_sheets(folder, sheets)
    return page


def link_to(source: Source, folder: Path) -> str | None:
    """The address of a photo for a page in a folder: relative for a local file; None within archives."""
    if not isinstance(source, LocalFile):
        return source.name if urlsplit(source.name).scheme in ("http", "https") else None
    try:
        relative = os.path.relpath(source.path, folder)
    except ValueError:  # on another drive
        return Path(source.path).absolute().as_uri()
    return "./" + quote(os.fsencode(Path(relative).as_posix()))


def _page(summary: Summary, data: dict[str, Any], errors: list[str], terms: str) -> str:
    style = assets()["style.css"].read(unpacked=True).decode() + (_STATIC / "sheet.css").read_text(encoding="utf-8")
    script = (_STATIC / "sheet.js").read_text(encoding="utf-8")
    counts = summary.counts
    listed = '    <section id="errors" aria-labelledby="errors-heading">\n      <h2 id="errors-heading">Errors</h2>\n'
    listed += f"      <ul>\n{''.join(errors)}      </ul>\n    </section>\n"
    return Template((_STATIC / "sheet.html").read_text(encoding="utf-8")).substitute(
        {answer: f"{counts[answer]:,}" for answer in ("female", "male", "uncertain")},
        mark=MARK,
        title=f"{counted(counts['faces'], 'face')} in {counted(counts['photos'], 'photo')}",
        photos=f"{counted(counts['photos'], 'photo')} analysed",
        empty=f"{counts['empty']:,} without a face",
        failed=f"{counts['errors']:,} could not be read",
        errors=listed if errors else "",
        terms=html.escape(terms),
        version=__version__,
        # A "<" in a name must not end the element.
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _error_item(name: str, link: str | None, error: Record) -> str:
    message, shown = html.escape(f"{error['kind']}: {visible(error['message'])}"), html.escape(name)
    if shown not in message:
        message = f"{shown}: {message}"
    if link is not None:
        message = message.replace(shown, f'<a href="{html.escape(link)}">{shown}</a>', 1)
    return f"        <li>{message}</li>\n"
