"""XMP sidecars: the answers of a run as keywords and face regions that picture software can search.

A sidecar of ours holds the digest of its own content. One that other software has changed since no longer matches it
and is left alone, as is every sidecar that was not written here: they hold work of the user.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from facegender._version import __version__
from facegender.errors import OutputError, PhotoReadError
from facegender.faces.decode import SIDEWAYS, read_orientation
from facegender.faces.types import Prediction
from facegender.files import atomic_file
from facegender.formats.records import Record, printable
from facegender.inference.pictures import shortened
from facegender.machine import usable_cores
from facegender.prefetch import ahead
from facegender.sources import LocalFile, Source, read

#: What the name of a sidecar ends in, after the whole name of the photo.
SUFFIX = ".xmp"
#: Of the properties of our own.
NAMESPACE = "urn:facegender:xmp:"
#: Of face regions.
MWG_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"

#: All keywords are below this one.
_ROOT = "facegender"
_KEYWORDS = {"female": "perceived female", "male": "perceived male", "uncertain": "uncertain"}
_NO_DIGEST = 'facegender:digest=""'
_DIGEST = re.compile(rb'facegender:digest="([0-9a-f]{64})"')
#: A larger file is none of ours.
_LARGEST = 1 << 24
#: Bytes that a name may have; it has more while it is written.
_NAME_BYTES = 255 - len("..writing")
#: XML has no way to write these.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class SidecarCounts:
    """The outcome of writing sidecars.

    Attributes:
        written: new ones, and those of earlier runs that have been replaced.
        current: those of earlier runs that say the same.
        kept: files that are there and were not written by a run, or were changed since.
        first_kept: one of them.
        placeless: photos that have no place beside them: in archives, at URLs, or with too long a name.
        unread: photos that can no longer be read.
    """

    written: int = 0
    current: int = 0
    kept: int = 0
    first_kept: Path | None = None
    placeless: int = 0
    unread: int = 0


def write_sidecars(photos: Iterable[tuple[Source, Record]], folder: Path | None, model: str) -> SidecarCounts:
    """Write the sidecar of each photo that has been analysed, ``NAME.xmp`` of the photo ``NAME``.

    Args:
        photos: with their records. The header of a photo with faces is read for its orientation.
        folder: of the sidecars, where a photo with the name of another gets ``STEM-2``; None: each beside its photo.
        model: the name of the network.

    Raises:
        OutputError: a folder cannot be written.
    """

    def prepare(pair: tuple[Source, Record]) -> tuple[Source, str | None]:
        source, record = pair
        if folder is None and not isinstance(source, LocalFile):
            return source, ""  # there is no place beside it
        try:
            orientation = read_orientation(read(source)) if record["faces"] else 1
        except PhotoReadError:
            return source, None
        return source, sidecar_text(record, _identity(source), model, orientation)

    counts = SidecarCounts()
    threads = usable_cores()
    analysed = (pair for pair in photos if pair[1]["error"] is None)
    with closing(_Names(folder)) as names:
        for source, text in ahead(prepare, analysed, threads=threads, waiting=2 * threads):
            if text is None:
                counts.unread += 1
            elif (path := names.path(source)) is None:
                counts.placeless += 1
            elif (before := _ours(path)) is None and os.path.lexists(path):
                counts.kept += 1
                counts.first_kept = counts.first_kept or path
            elif before == text.encode():
                counts.current += 1
            else:
                _write(path, text)
                counts.written += 1
    return counts


def sidecar_text(record: Record, identity: str, model: str, orientation: int) -> str:
    """The sidecar of a photo.

    Args:
        record: of a photo that was read.
        identity: tells the photo from others.
        orientation: the photo's, 1 to 8 as in EXIF. Regions are those of the image as it is stored.
    """
    width, height, faces = record["width"], record["height"], record["faces"]
    lines = [
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="facegender {__version__}">',
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
        '  <rdf:Description rdf:about=""',
        '    xmlns:dc="http://purl.org/dc/elements/1.1/"',
        '    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"',
        f'    xmlns:mwg-rs="{MWG_REGIONS}"',
        '    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"',
        '    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"',
        f'    xmlns:facegender="{NAMESPACE}"',
        f'    facegender:version="{__version__}"',
        f"    facegender:model={_quoted(model)}",
        f'    facegender:photo="{identity}"',
        f"    {_NO_DIGEST}>",
    ]
    if faces:
        labels = {face["label"] for face in faces}
        keywords = [word for label, word in _KEYWORDS.items() if label in labels]
        stored = (height, width) if orientation in SIDEWAYS else (width, height)
        lines += [
            *_bag("dc:subject", [f"{_ROOT}: {word}" for word in keywords]),
            *_bag("lr:hierarchicalSubject", [f"{_ROOT}|{word}" for word in keywords]),
            '   <mwg-rs:Regions rdf:parseType="Resource">',
            f'    <mwg-rs:AppliedToDimensions stDim:w="{stored[0]}" stDim:h="{stored[1]}" stDim:unit="pixel"/>',
            "    <mwg-rs:RegionList>",
            "     <rdf:Bag>",
            *(line for face in faces for line in _region(face, width, height, orientation)),
            "     </rdf:Bag>",
            "    </mwg-rs:RegionList>",
            "   </mwg-rs:Regions>",
            "   <facegender:faces>",
            "    <rdf:Seq>",
            *(
                f'     <rdf:li><rdf:Description facegender:p_male="{face["p_male"]}" '
                f'facegender:label="{face["label"]}"/></rdf:li>'
                for face in faces
            ),
            "    </rdf:Seq>",
            "   </facegender:faces>",
        ]
    lines += ["  </rdf:Description>", " </rdf:RDF>", "</x:xmpmeta>", ""]
    text = "\n".join(lines)
    return text.replace(_NO_DIGEST, f'facegender:digest="{hashlib.sha256(text.encode()).hexdigest()}"', 1)


def _bag(name: str, words: Iterable[str]) -> list[str]:
    items = (f"     <rdf:li>{word}</rdf:li>" for word in words)
    return [f"   <{name}>", "    <rdf:Bag>", *items, "    </rdf:Bag>", f"   </{name}>"]


def _region(face: Record, width: int, height: int, orientation: int) -> list[str]:
    answer = str(Prediction(face["p_male"], face["label"]))
    described = answer if face["label"] == "uncertain" else f"perceived {answer}"
    x, y, w, h = (f"{value:.6f}" for value in _stored_area(face["box"], width, height, orientation))
    return [
        "      <rdf:li>",
        f'       <rdf:Description mwg-rs:Type="Face" mwg-rs:Description="{described}">',
        f'        <mwg-rs:Area stArea:x="{x}" stArea:y="{y}" stArea:w="{w}" stArea:h="{h}" stArea:unit="normalized"/>',
        "       </rdf:Description>",
        "      </rdf:li>",
    ]


def _stored_area(box: list[float], width: int, height: int, orientation: int) -> tuple[float, float, float, float]:
    """Centre and size, in shares of the stored image, of a box in pixels of the upright one; cut off at its edges."""
    left, right = (min(max(value / width, 0.0), 1.0) for value in (box[0], box[0] + box[2]))
    top, bottom = (min(max(value / height, 0.0), 1.0) for value in (box[1], box[1] + box[3]))
    x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    if orientation in SIDEWAYS:
        w, h = h, w
    x, y = {
        2: (1 - x, y),
        3: (1 - x, 1 - y),
        4: (x, 1 - y),
        5: (y, x),
        6: (y, 1 - x),
        7: (1 - y, 1 - x),
        8: (1 - y, x),
    }.get(orientation, (x, y))
    return x, y, w, h


def _quoted(text: str) -> str:
    from xml.sax.saxutils import quoteattr  # brings HTTP and TLS, which every start would wait for

    return quoteattr(_NOT_XML.sub("\ufffd", printable(text)))


def _identity(source: Source) -> str:
    """Tells a photo from others, without its path, which a sidecar would give away."""
    name = str(Path(source.path).absolute()) if isinstance(source, LocalFile) else source.name
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class _Names:
    """Where sidecars lie. Whose a name in a folder is, a file without a name holds, since they may be millions."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._taken = sqlite3.connect("")
        self._taken.execute("CREATE TABLE taken (name INTEGER PRIMARY KEY, identity TEXT NOT NULL)")

    def close(self) -> None:
        self._taken.close()

    def path(self, source: Source) -> Path | None:
        """Where that of a photo lies; None where there is no place for it."""
        if self._folder is None:
            if not isinstance(source, LocalFile):
                return None
            path = Path(f"{source.path}{SUFFIX}")
            return path if len(os.fsencode(path.name)) <= _NAME_BYTES else None
        named, identity, number = Path(source.name), _identity(source), 1
        stem = shortened(named.stem.replace("\0", "_") or "photo")
        of_photo = re.match(r"\.\w{1,8}", named.suffix)  # a URL may have a query behind it
        suffix = of_photo[0] if of_photo else ""
        while True:
            path = self._folder / f"{stem}{'' if number == 1 else f'-{number}'}{suffix}{SUFFIX}"
            if self._owner(path, identity) == identity:
                return path
            number += 1

    def _owner(self, path: Path, identity: str) -> str:
        """Whose a name is: that of who asks first, unless the sidecar that is there is of another photo."""
        key = hash(path.name)  # takes less room
        try:
            found = self._taken.execute("SELECT identity FROM taken WHERE name = ?", (key,)).fetchone()
            if found is None:
                before = _ours(path)
                of = re.search(rb'facegender:photo="([0-9a-f]+)"', before) if before else None
                found = (of[1].decode() if of else identity,)
                self._taken.execute("INSERT INTO taken VALUES (?, ?)", (key, *found))
        except sqlite3.Error as error:
            raise OutputError(
                f"cannot keep the names of sidecars: {error}", remedy="set TMPDIR to a disk with room"
            ) from error
        return str(found[0])


def _ours(path: Path) -> bytes | None:
    """The content of a sidecar as a run wrote it; None where it is not, or is not there."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError:
        return None
    if len(data) > _LARGEST or not (found := _DIGEST.search(data)):
        return None
    blank = data.replace(found[0], _NO_DIGEST.encode(), 1)
    return data if hashlib.sha256(blank).hexdigest().encode() == found[1] else None


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(text.encode())
