"""The page of the report: one HTML file with all that is said, beside it the sheets of thumbnails."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import Template
from urllib.parse import quote, urlsplit

import numpy as np

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
from facegender.sheet.thumbnails import ACROSS, NO_PICTURE, SIDE, Waiting, remove_sheets, thumbnails, write_sheets
from facegender.sources import LocalFile, Source
from facegender.wording import counted

_STATIC = Path(__file__).parent / "static"
#: Bytes at the start of a page in which its mark stands.
_HEAD_BYTES = 1024
#: Stands in the page, while it is made, for what is too much to be held.
_PLACE = "\0"


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
    # Of each face memory holds no more than what its place follows from.
    p_male, pictures = array("d"), array("q")
    threads = usable_cores()
    with Waiting() as waiting, Waiting() as photos, Waiting() as faces, Waiting() as errors:
        for source, record, found in ahead(cut, records, threads=threads, waiting=2 * threads):
            summary.add(record)
            name, link = visible(record["path"]), link_to(source, folder)
            if record["error"] is not None:
                errors.add(_error_item(name, link, record["error"]).encode())
            if found:
                photos.add(_json((name, link)))
            for number, (face, thumbnail) in enumerate(zip(record["faces"], found, strict=True)):
                text = str(Prediction(face["p_male"], face["label"]))
                about = (len(photos) - 1, number, face["p_male"], face["quality"], face["label"], text)
                faces.add(_json((*about, thumbnail is not None)))
                p_male.append(face["p_male"])
                pictures.append(NO_PICTURE if thumbnail is None else waiting.add(thumbnail.tobytes()))
        order = np.argsort(np.array(p_male), kind="stable")
        sheets = write_sheets(waiting, np.array(pictures)[order], folder)
        before, between, after = _page(summary, terms, errors=len(errors) > 0)
        page = folder / "index.html"
        with atomic_file(page) as temporary, temporary.open("wb") as file:
            file.write(before)
            file.writelines(errors)
            file.write(between)
            begin = _json({"side": SIDE, "across": ACROSS, "sheets": sheets, "photos": []})
            file.write(begin.removesuffix(b"]}"))
            file.writelines(_separated(photos))
            file.write(b'],"faces":[')
            file.writelines(_separated(map(faces.read, order)))
            file.write(b"]}" + after)
    remove_sheets(folder, sheets)
    return page


def _json(value: object) -> bytes:
    # A "<" in a name must not end the element.
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").encode()


def _separated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        yield b"," + piece if number else piece


def link_to(source: Source, folder: Path) -> str | None:
    """The address of a photo for a page in a folder: relative for a local file; None within archives."""
    if not isinstance(source, LocalFile):
        return source.name if urlsplit(source.name).scheme in ("http", "https") else None
    try:
        relative = os.path.relpath(source.path, folder)
    except ValueError:  # on another drive
        return Path(source.path).absolute().as_uri()
    return "./" + quote(os.fsencode(Path(relative).as_posix()))


def _page(summary: Summary, terms: str, *, errors: bool) -> tuple[bytes, bytes, bytes]:
    """The page: what comes before the items of the errors, between those and the data, and after the data."""
    style = assets()["style.css"].read(unpacked=True).decode() + (_STATIC / "sheet.css").read_text(encoding="utf-8")
    script = (_STATIC / "sheet.js").read_text(encoding="utf-8")
    counts = summary.counts
    listed = '    <section id="errors" aria-labelledby="errors-heading">\n      <h2 id="errors-heading">Errors</h2>\n'
    listed += f"      <ul>\n{_PLACE}      </ul>\n    </section>\n"
    text = Template((_STATIC / "sheet.html").read_text(encoding="utf-8")).substitute(
        {answer: f"{counts[answer]:,}" for answer in ("female", "male", "uncertain")},
        mark=MARK,
        title=f"{counted(counts['faces'], 'face')} in {counted(counts['photos'], 'photo')}",
        photos=f"{counted(counts['photos'], 'photo')} analysed",
        empty=f"{counts['empty']:,} without a face",
        failed=f"{counts['errors']:,} could not be read",
        errors=listed if errors else _PLACE,
        terms=html.escape(terms),
        version=__version__,
        data=_PLACE,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    before, between, after = text.encode().split(_PLACE.encode())
    return before, between, after


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _error_item(name: str, link: str | None, error: Record) -> str:
    message, shown = html.escape(f"{error['kind']}: {visible(error['message'])}"), html.escape(name)
    if shown not in message:
        message = f"{shown}: {message}"
    if link is not None:
        message = message.replace(shown, f'<a href="{html.escape(link)}">{shown}</a>', 1)
    return f"        <li>{message}</li>\n"
