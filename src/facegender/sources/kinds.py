"""Which files are photos, by their suffix or else by how they begin; and how many are passed over."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from facegender.wording import counted

#: Of photos.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".tif", ".tiff", ".bmp"}
    | {".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".avif"}
    | {".avifs", ".heic", ".heif", ".hif", ".heics", ".heifs"}
)

#: Of videos.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".ogv", ".3gp"}
    | {".m2ts", ".m2t", ".vob", ".3g2", ".asf", ".f4v", ".m2v"}
)

#: Files of these suffixes are no photos, whatever they begin with, and are not opened.
_OTHER_SUFFIXES = frozenset(
    # texts, tables and what photo software keeps beside photos; a THM is the small picture of a video
    {".txt", ".lst", ".md", ".json", ".jsonl", ".xml", ".xmp", ".csv", ".tsv", ".html", ".htm", ".log", ".ini", ".yml"}
    | {".yaml", ".aae", ".thm", ".pp3", ".dop", ".url", ".lnk", ".py", ".js", ".css", ".sh", ".m", ".mat", ".db"}
    | {".parquet", ".sqlite", ".sqlite3", ".npy", ".npz", ".pkl", ".pt", ".onnx"}
    # raw files of cameras, and drawings
    | {".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f"}
    | {".iiq", ".3fr", ".psd", ".psb", ".svg", ".ico", ".eps", ".ai", ".indd", ".xcf"}
    # documents, archives and sound
    | {".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".rtf", ".zip", ".rar", ".7z"}
    | {".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".mp3", ".wav", ".flac", ".aac", ".m4a", ".ogg", ".opus"}
    # what is left over
    | {".bak", ".old", ".orig", ".tmp", ".part", ".crdownload", ".download", ".writing"}
)

#: What runs keep beside their results, and what lies beside photos.
_BESIDE = (".journal", ".journal-journal", ".run.json", ".xmp")
#: Suffixes that are named in a summary.
_NAMED = 6

#: Bytes that tell what a file is.
HEAD_BYTES = 512


class Kind(StrEnum):
    """What a file is by how it begins."""

    PHOTO = "photo"
    VIDEO = "video"
    ARCHIVE = "archive"


#: Offset and bytes. Not TIFF, with which raw files begin too, nor BMP, PPM and ICO, which two bytes do not tell.
_SIGNATURES: tuple[tuple[int, bytes | tuple[bytes, ...], Kind], ...] = (
    (0, (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"\xff\x4f\xff\x51"), Kind.PHOTO),
    (4, b"jP  \r\n\x87\n", Kind.PHOTO),
    (8, b"WEBPVP8", Kind.PHOTO),
    (0, (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01", b"OggS"), Kind.VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind.VIDEO),
    (8, b"AVI LIST", Kind.VIDEO),
    (0, (b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"), Kind.ARCHIVE),
    (0, (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"), Kind.ARCHIVE),
    (257, b"ustar", Kind.ARCHIVE),
)
#: What the first box of an ISO base media file names; all others are videos, or Canon's raw files.
_PHOTO_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_NEITHER_BRANDS = (b"crx ", b"M4A ", b"M4B ")
#: TIFF, BMP, and PPM and its kin.
_OTHER_PHOTOS = re.compile(rb"II\*\0|MM\0\*|BM....\0\0\0\0|P[1-6]\s+(#|\d+\s+\d+\s)", re.DOTALL)
#: Of an MPEG transport stream: each packet begins with this byte; in an M2TS after four of a time stamp.
_SYNC, _PACKETS = 0x47, ((0, 188), (4, 192))


def kind_of(head: bytes) -> Kind | None:
    """What a file is that begins with these bytes, as far as they tell; `HEAD_BYTES` are enough."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if head[4:8] == b"ftyp" and head[8:12] not in _NEITHER_BRANDS:
        return Kind.PHOTO if head[8:12] in _PHOTO_BRANDS else Kind.VIDEO
    for first, size in _PACKETS:
        if len(head) > first + 2 * size and all(head[first + n * size] == _SYNC for n in range(3)):
            return Kind.VIDEO
    return None


def is_photo_data(head: bytes) -> bool:
    """Whether data can only be a photo that begins so, where it may be a list of names instead."""
    return kind_of(head) is Kind.PHOTO or _OTHER_PHOTOS.match(head) is not None


def suffix_of(name: str) -> str:
    """The suffix of a file's name, in lower case."""
    return PurePosixPath(name).suffix.lower()


def is_video(name: str) -> bool:
    """Whether a file is a video by its name."""
    return suffix_of(name) in VIDEO_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether the name of a file, or of a folder that it is in, begins with a point."""
    return any(part.startswith(".") and part not in {".", ".."} for part in PurePosixPath(name).parts)


def is_photo(name: str) -> bool:
    """Whether a member of an archive or of a listing at a URL is a photo by its name, and not hidden."""
    return suffix_of(name) in SUFFIXES and not is_hidden(name)


def is_photo_file(path: Path) -> bool:
    """Whether a local file is a photo: by its suffix; a file with an unknown one, or none, by how it begins."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix in VIDEO_SUFFIXES or suffix in _OTHER_SUFFIXES:
        return suffix in SUFFIXES
    try:
        if not path.is_file():  # a pipe would wait
            return False
        with path.open("rb", buffering=0) as file:
            return kind_of(file.read(HEAD_BYTES)) is Kind.PHOTO
    except OSError:
        return False


@dataclass
class PassedOver:
    """Files that were not taken for photos, counted so that none is left out in silence.

    Attributes:
        suffixes: how many of each suffix; the empty one where there is none.
        kinds: the others: hidden photos, videos, folders that are links, pictures that an earlier run made.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, name: str) -> None:
        """Count a file by its name; not what lies beside results or photos."""
        if name.endswith(_BESIDE):
            return
        if is_video(name):
            self.kinds["videos"] += 1
        elif not is_hidden(name):
            self.suffixes[suffix_of(name)] += 1
        elif suffix_of(name) in SUFFIXES:  # other hidden files are meant to be
            self.kinds["hidden"] += 1

    def __len__(self) -> int:
        return self.suffixes.total() + self.kinds.total()

    def __str__(self) -> str:
        """Such as ``7 files passed over (suffixes: none 2, .pdf 1; hidden 1; videos 3)``."""
        most = sorted(self.suffixes.items(), key=lambda found: (-found[1], found[0]))
        named = [f"{suffix or 'none'} {count}" for suffix, count in most[:_NAMED]]
        if rest := sum(count for _, count in most[_NAMED:]):
            named.append(f"others {rest}")
        parts = [f"suffixes: {', '.join(named)}"] if named else []
        parts += [f"{kind} {count}" for kind, count in sorted(self.kinds.items())]
        return f"{counted(len(self), 'file')} passed over ({'; '.join(parts)})"
