"""The kind of a file by its first bytes, for the message that says why it is not read."""

from __future__ import annotations

import importlib.util

from PIL import UnidentifiedImageError

from facegender.errors import MissingDecoderError, NotAnImageError, PhotoReadError, TruncatedImageError

#: Offset and bytes by which each kind begins; tells a damaged photo from a file that never was one.
_SIGNATURES: tuple[tuple[int, bytes | tuple[bytes, ...], str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), "TIFF"),
    (0, b"BM", "BMP"),
    (0, (b"P6", b"P5", b"P4"), "PPM"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (4, b"ftypavi", "AVIF"),
    (4, (b"ftyphei", b"ftyphev"), "HEIC"),
    (8, b"WEBP", "WebP"),
)

#: The same for the raw files of cameras; most others begin like TIFF (`facegender.faces.tiff`).
_RAW: tuple[tuple[int, bytes | tuple[bytes, ...], str], ...] = (
    (8, b"CR", "Canon CR2"),
    (4, b"ftypcrx ", "Canon CR3"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, (b"IIRO", b"IIRS", b"MMOR"), "Olympus ORF"),
    (0, b"IIU\x00", "Panasonic RW2"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\x00MRM", "Minolta MRW"),
    (8, b"IIII", "Phase One IIQ"),
)

#: What the first box of a HEIC file names; the last two are general, and AVIF may use them too.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None


def is_heic(head: bytes) -> bool:
    """Whether a file that begins so is HEIC."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def raw_kind(head: bytes) -> str | None:
    """The kind of raw file that a camera lets begin so; None for all other files."""
    return next((kind for offset, signature, kind in _RAW if head.startswith(signature, offset)), None)


def raw_error(name: str, kind: str) -> NotAnImageError:
    """What is to be said of a raw file."""
    return NotAnImageError(
        f"{name} is a camera's raw file ({kind}), of which only a small preview could be read",
        remedy="develop it to JPEG or TIFF first",
    )


def unidentified(head: bytes, name: str, error: Exception) -> PhotoReadError:
    """What is to be said of a file of which no image could be made, given its first bytes and what was raised."""
    if is_heic(head) and not HAS_HEIF:
        return MissingDecoderError(
            f"{name} is a HEIC photo, and the package pillow-heif is not installed",
            remedy="pip install 'facegender[heif]'",
        )
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
            return TruncatedImageError(
                f"{name} starts like {kind} but is cut short, damaged or of an unsupported kind{reason}"
            )
    return NotAnImageError(
        f"{name} is not an image", remedy="can be read: JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000, AVIF, HEIC"
    )
