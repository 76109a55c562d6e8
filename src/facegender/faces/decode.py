"""From a photo file of any common kind to its pixels, or to an error that says what is wrong with it."""

from __future__ import annotations

import importlib.util
import io
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
from PIL import UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from facegender.errors import (
    ByteLimitError,
    NotAnImageError,
    PhotoNotFoundError,
    PhotoPermissionError,
    PhotoReadError,
    PixelLimitError,
    TruncatedImageError,
)
from facegender.faces.colour import to_rgb
from facegender.faces.types import Image, Picture

DEFAULT_MAX_PIXELS = 120_000_000

#: What errors call a photo without a name.
UNNAMED = "the image given as bytes"

#: Named one by one: Pillow would otherwise also try formats that run other programs (EPS). JPEG brings MPO.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")

#: Offset and bytes by which each kind begins; tells a damaged photo from a file that never was one.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (8, b"WEBP", "WebP"),
)

#: What the first box of a HEIC file names; the last two are general, and AVIF may use them too.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

_HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None

#: Rows that are handed from Pillow to NumPy at a time.
_STRIP = 256

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
#: Orientations in which the stored rows are columns of the photo.
_SIDEWAYS = (5, 6, 7, 8)


def decode(source: str | Path | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
    """Read one photo in full as a ``uint8`` array, H x W x 3, sRGB, with the EXIF orientation applied.

    Transparent parts become white, of an animation the first frame is taken, 16-bit and float gray
    is scaled to 8 bits, and an embedded colour profile is converted to sRGB.

    Args:
        source: a path, or the bytes of a file.
        max_pixels: the size is checked in the header, before the pixels are decoded.

    Raises:
        PhotoNotFoundError: no such file, or not a regular file.
        PhotoPermissionError: the file may not be read.
        NotAnImageError: the bytes are no image of a supported format, or there are none.
        TruncatedImageError: the image is cut short or damaged.
        PixelLimitError: width x height is above ``max_pixels``.
        PhotoReadError: the disk failed or memory ran out.
    """
    return decode_reduced(source, lambda width, height: 1.0, max_pixels=max_pixels).pixels


def decode_reduced(
    source: str | Path | bytes,
    scale_for: Callable[[int, int], float],
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    name: str | None = None,
) -> Picture:
    """Read one photo as `decode` does, but a JPEG with no more pixels than are wanted.

    Args:
        source: a path, or the bytes of a file.
        scale_for: given width and height of the full, oriented photo, the least scale that will do. A JPEG is
            decoded at 1/2, 1/4 or 1/8, whichever is the smallest that is not below it; other formats in full.
        max_pixels: of the full photo.
        name: what errors call the photo; None takes the path.

    Raises:
        PhotoReadError: its subclasses as for `decode`.
    """
    if name is None:
        name = UNNAMED if isinstance(source, bytes) else str(source)
    with _errors_of(name), _opened(source) as file, _quiet():
        return _decode(file, name, max_pixels, scale_for)


def file_bytes(path: str | Path, *, max_bytes: int, name: str | None = None) -> bytes:
    """The bytes of a photo's file, which is not looked into.

    Args:
        path: of the file.
        max_bytes: of the file.
        name: what errors call the photo; None takes the path.

    Raises:
        PhotoNotFoundError, PhotoPermissionError, PhotoReadError: as for `decode`.
        ByteLimitError: it has more than ``max_bytes``.
    """
    name = name or str(path)
    with _errors_of(name), _opened(path) as file:
        data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            size = os.fstat(file.fileno()).st_size
            raise ByteLimitError(f"{name} has {size} bytes, above the limit of {max_bytes}")
        return data


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Errors of ours for what opening and reading a photo may raise."""
    try:
        yield
    except PhotoReadError:
        raise
    except FileNotFoundError as error:
        raise PhotoNotFoundError(f"no such file: {name}") from error
    except PermissionError as error:
        raise PhotoPermissionError(f"no permission to read {name}") from error
    except MemoryError as error:
        raise PhotoReadError(f"not enough memory to read {name}") from error
    except OSError as error:
        raise PhotoReadError(f"cannot read {name}: {error.strerror or error}") from error


def _opened(source: str | Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (NotADirectoryError, ValueError) as error:  # a file among the parents; a NUL in the name
        raise PhotoNotFoundError(f"no such file: {source}") from error
    if stat.S_ISDIR(mode):
        os.scandir(path).close()  # a folder that may not be listed is a matter of permission
    if not stat.S_ISREG(mode):  # opening a named pipe would wait for ever
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise PhotoNotFoundError(f"{source} is {what}, not a photo")
    return path.open("rb")


def _decode(file: IO[bytes], name: str, max_pixels: int, scale_for: Callable[[int, int], float]) -> Picture:
    head = file.read(16)
    if not head:
        raise NotAnImageError(f"{name} is empty (0 bytes)")
    try:
        with _pillow_limit_off() as pillow_limit:
            image = _identified(file, head)
    except MemoryError:
        raise
    except Exception as error:  # plugins raise whatever hostile bytes lead them to
        _raise_if_disk_failed(error)
        raise _unidentified(head, name, error) from error

    width, height = image.size
    if width * height > max_pixels:
        raise PixelLimitError(
            f"{name} has {width} x {height} = {width * height} pixels, above the limit of {max_pixels}",
            remedy=f"--max-pixels {width * height}",
        )

    # Some plugins look at the limit again; whoever needs this takes the lock for the whole decoding.
    over_pillow_limit = pillow_limit is not None and width * height > pillow_limit
    try:
        with _pillow_limit_off() if over_pillow_limit else nullcontext():
            _reduce(image, scale_for)
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        _raise_if_disk_failed(error)
        raise TruncatedImageError(f"{name} is cut short or damaged: {error}") from error

    mode = image.mode
    orientation = _orientation(image)
    try:
        if orientation in _UPRIGHT:
            image = image.transpose(_UPRIGHT[orientation])
        image = to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:
        raise NotAnImageError(f"{name} has an unsupported pixel layout ({mode}): {error}") from error
    if orientation in _SIDEWAYS:
        width, height = height, width
    return Picture(_as_array(image), width, height)


def _identified(file: IO[bytes], head: bytes) -> PIL.Image.Image:
    """The image with its header read; an exception of whatever kind where it is none that we read."""
    try:
        return PIL.Image.open(file, formats=FORMATS)
    except Exception:
        if not _is_heic(head) or not _HAS_HEIF:
            raise
    from pillow_heif import HeifImageFile

    # Its class by itself: registering the format would change Pillow for the caller's whole program.
    file.seek(0)
    image: PIL.Image.Image = HeifImageFile(file)
    return image


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def _reduce(image: PIL.Image.Image, scale_for: Callable[[int, int], float]) -> None:
    """Tell Pillow to decode a JPEG at the smallest of its scales that will do."""
    if not isinstance(image, JpegImageFile):
        return
    width, height = image.size
    wanted = scale_for(height, width) if _orientation(image) in _SIDEWAYS else scale_for(width, height)
    for part in (8, 4, 2):
        if 1 / part >= wanted:
            image.draft(None, (max(1, width // part), max(1, height // part)))
            return


def _as_array(image: PIL.Image.Image) -> Image:
    """The pixels of an RGB image, strip by strip: Pillow would hold them three times meanwhile."""
    width, height = image.size
    if height <= _STRIP:
        return np.array(image)
    pixels: Image = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _raise_if_disk_failed(error: Exception) -> None:
    """Let a failed read through; Pillow's own complaints are OSErrors without a number."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _unidentified(head: bytes, name: str, error: Exception) -> PhotoReadError:
    if _is_heic(head) and not _HAS_HEIF:
        return NotAnImageError(
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


def _orientation(image: PIL.Image.Image) -> Any:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a broken EXIF block is no reason to lose the photo
        return 1


_limit_lock = threading.RLock()


@contextmanager
def _pillow_limit_off() -> Iterator[int | None]:
    """Suspend Pillow's own pixel limit, and yield it. It belongs to the caller's program; ours holds here."""
    with _limit_lock:
        before = PIL.Image.MAX_IMAGE_PIXELS
        PIL.Image.MAX_IMAGE_PIXELS = None
        try:
            yield before
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before


class _Quiet:
    """How many threads are decoding, and the way back to the warning filters of before the first."""

    lock = threading.Lock()
    active = 0
    filters = warnings.catch_warnings()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow's remarks on odd files.

    The filters belong to the whole process, so with several threads at work only the first to come
    sets them and only the last to go puts them back.
    """
    with _Quiet.lock:
        if _Quiet.active == 0:
            _Quiet.filters = warnings.catch_warnings()
            _Quiet.filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _Quiet.active += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.active -= 1
            if _Quiet.active == 0:
                _Quiet.filters.__exit__(None, None, None)
