"""From a photo file of any common kind to its pixels, or to an error that says what is wrong with it."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL.Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from facegender.errors import (
    ByteLimitError,
    FacegenderError,
    NotAnImageError,
    PhotoNotFoundError,
    PhotoPermissionError,
    PhotoReadError,
    PixelLimitError,
    TruncatedImageError,
)
from facegender.faces.colour import sample_layout, scale_gray, scale_samples, to_rgb
from facegender.faces.kinds import HAS_HEIF, is_heic, raw_error, raw_kind, unidentified
from facegender.faces.quiet import pillow_limit_off, quiet
from facegender.faces.tiff import contents
from facegender.faces.types import Image, Note, Picture
from facegender.wording import counted

DEFAULT_MAX_PIXELS = 120_000_000

#: A higher limit is proposed for photos of up to this number of pixels, which take some 12 GB.
_READABLE_PIXELS = 4_000_000_000

#: What errors call a photo without a name.
UNNAMED = "the image given as bytes"

#: Named one by one: Pillow would otherwise also try formats that run other programs (EPS). JPEG brings MPO.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "AVIF")

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
SIDEWAYS = (5, 6, 7, 8)


def decode(source: str | Path | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image:
    """Read one photo in full as a ``uint8`` array, H x W x 3, sRGB, with the EXIF orientation applied.

    Transparent parts become white, of an animation the first frame is taken, and of a TIFF file with several images
    the first that is no thumbnail. Samples of more than 8 bits are scaled by the depth that they have
    (`facegender.faces.colour`), and an embedded colour profile is converted to sRGB.

    Args:
        max_pixels: the size is checked in the header, before the pixels are decoded.

    Raises:
        PhotoNotFoundError: no such file, or not a regular file.
        PhotoPermissionError: the file may not be read.
        NotAnImageError: the bytes are no image of a supported format, or there are none.
        TruncatedImageError: the image is cut short, damaged or of an unsupported kind of its format.
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
        scale_for: given width and height of the full, oriented photo, the least scale that will do. A JPEG is
            decoded at 1/2, 1/4 or 1/8, whichever is the smallest that is not below it; other formats in full.
        max_pixels: of the full photo.
        name: what errors call the photo; None takes the path.

    Raises:
        PhotoReadError: its subclasses as for `decode`.
    """
    name = _named(source, name)
    with _errors_of(name), _opened(source) as file, quiet():
        head = file.read(16)
        if not head:
            raise NotAnImageError(f"{name} is empty (0 bytes)")
        if kind := raw_kind(head):
            raise raw_error(name, kind)
        image, notes, pillow_limit = _identified(file, head, name)

        width, height = image.size
        _check_size(name, width, height, max_pixels)
        # Some plugins look at the limit again; whoever needs this takes the lock for the whole decoding.
        over_pillow_limit = pillow_limit is not None and width * height > pillow_limit
        with (
            _errors_of_plugins(lambda error: _damaged(name, error)),
            pillow_limit_off() if over_pillow_limit else nullcontext(),
        ):
            _reduce(image, scale_for)
            page, layout = image.tell(), sample_layout(image)
            image.load()
            orientation = _orientation(image)
            scaled = scale_samples(image, layout, lambda: _plugin(file, head, page))
        if orientation in SIDEWAYS:
            width, height = height, width
        return Picture(_as_array(_upright_rgb(name, scaled, orientation)), width, height, notes)


def decode_pillow(image: PIL.Image.Image, *, max_pixels: int = DEFAULT_MAX_PIXELS, name: str | None = None) -> Image:
    """The pixels of a Pillow image as `decode` gives them; the image may not be loaded yet, and stays as it is.

    Args:
        max_pixels: as for `decode`.
        name: what errors call the image.

    Raises:
        PhotoReadError: its subclasses as for `decode`.
    """
    name = name or "the Pillow image"
    if 0 in image.size:
        raise NotAnImageError(f"{name} has no pixels")
    _check_size(name, *image.size, max_pixels)
    with _errors_of(name), quiet():
        with _errors_of_plugins(lambda error: _damaged(name, error)):
            image.load()
            shallow = scale_gray(image)
        return _as_array(_upright_rgb(name, shallow, _orientation(image)))


def read_orientation(source: str | Path | bytes) -> int:
    """The EXIF orientation of a photo, 1 to 8, from its header; 1 where it has none.

    Raises:
        PhotoReadError: its subclasses as for `decode`.
    """
    with _header(source, _named(source)) as image:
        orientation = _orientation(image)
        return orientation if orientation in _UPRIGHT else 1


def check_pixels(source: str | Path | bytes | Image, *, max_pixels: int, name: str | None = None) -> None:
    """Refuse a photo of more than `max_pixels` as `decode` does, by its header. No other fault is looked for.

    Args:
        name: what errors call the photo; None takes the path.

    Raises:
        PixelLimitError: width x height is above ``max_pixels``.
    """
    name = _named(source, name)
    if isinstance(source, np.ndarray):
        height, width, _ = source.shape
    else:
        try:
            with _header(source, name) as image:
                width, height = image.size
        except PhotoReadError:  # whoever reads the photo will say so
            return
    _check_size(name, width, height, max_pixels)


def file_bytes(path: str | Path, *, max_bytes: int, name: str | None = None) -> bytes:
    """The bytes of a photo's file, which is not looked into.

    Args:
        name: what errors call the photo; None takes the path.

    Raises:
        PhotoNotFoundError, PhotoPermissionError, PhotoReadError: as for `decode`.
        ByteLimitError: it has more than ``max_bytes``.
    """
    name = _named(path, name)
    with _errors_of(name), _opened(path) as file:
        data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            size = os.fstat(file.fileno()).st_size
            raise ByteLimitError(f"{name} has {size} bytes, above the limit of {max_bytes}")
        return data


def _named(source: object, name: str | None = None) -> str:
    """What errors call a photo: its name, or else its path."""
    return name or (str(source) if isinstance(source, str | Path) else UNNAMED)


@contextmanager
def _header(source: str | Path | bytes, name: str) -> Iterator[ImageFile]:
    """A photo of which no more than the header is read."""
    with _errors_of(name), _opened(source) as file, quiet():
        yield _identified(file, file.read(16), name)[0]


@contextmanager
def _errors_of_plugins(ours: Callable[[Exception], PhotoReadError]) -> Iterator[None]:
    """Errors of ours for whatever hostile bytes lead plugins to raise; a failed disk is no matter of theirs."""
    try:
        yield
    except (MemoryError, PhotoReadError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # Pillow's own complaints have no number
            raise
        raise ours(error) from error


def _damaged(name: str, error: Exception) -> TruncatedImageError:
    return TruncatedImageError(f"{name} is cut short, damaged or of an unsupported kind: {error}")


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Errors of ours for what opening and reading a photo may raise."""
    try:
        yield
    except (OSError, MemoryError) as error:
        raise as_photo_error(name, error) from error


def as_photo_error(name: str, error: Exception) -> PhotoReadError:
    """An error of ours for what a file system or the network has raised on reading `name`."""
    status = getattr(error, "status", None)  # of an HTTP answer
    if isinstance(error, PhotoReadError):
        return error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return PhotoNotFoundError(f"no such file: {name}")
    if isinstance(error, PermissionError) or status in (401, 403):
        return PhotoPermissionError(f"no permission to read {name}")
    if isinstance(error, MemoryError):
        return PhotoReadError(f"not enough memory to read {name}")
    if isinstance(error, TimeoutError):
        return PhotoReadError(f"cannot read {name}: it took too long to answer")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return PhotoReadError(reason if isinstance(error, FacegenderError) else f"cannot read {name}: {reason}")


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
    if not stat.S_ISREG(mode):  # opening a named pipe would block
        what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise PhotoNotFoundError(f"{source} is {what}, not a photo")
    return path.open("rb")


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    pixels = width * height
    if pixels > max_pixels:
        raise PixelLimitError(
            f"{name} has {width} x {height} = {pixels} pixels, above the limit of {max_pixels}",
            remedy=f"--max-pixels {pixels}" if pixels <= _READABLE_PIXELS else None,
        )


def _upright_rgb(name: str, image: PIL.Image.Image, orientation: Any) -> PIL.Image.Image:
    mode = image.mode
    with _errors_of_plugins(lambda error: NotAnImageError(f"{name} has an unsupported pixel layout ({mode}): {error}")):
        if orientation in _UPRIGHT:
            image = image.transpose(_UPRIGHT[orientation])
        return to_rgb(image)


def _identified(file: IO[bytes], head: bytes, name: str) -> tuple[ImageFile, tuple[Note, ...], int | None]:
    """The image that is the photo, not yet loaded, what is to be said of others in the file, and Pillow's own limit."""
    with _errors_of_plugins(lambda error: unidentified(head, name, error)), pillow_limit_off() as pillow_limit:
        page, notes = _page(file, name) if head.startswith((b"II", b"MM")) else (0, ())
        return _plugin(file, head, page), notes, pillow_limit


def _plugin(file: IO[bytes], head: bytes, page: int = 0) -> ImageFile:
    """An image with its header read; an exception of whatever kind where it is none that we read."""
    file.seek(0)
    try:
        image = PIL.Image.open(file, formats=FORMATS)
    except Exception:
        if not is_heic(head) or not HAS_HEIF:
            raise
        from pillow_heif import HeifImageFile

        # Its class by itself: registering the format would change Pillow for the caller's whole program.
        file.seek(0)
        image = HeifImageFile(file)
    if page:
        image.seek(page)
    return image


def _page(file: IO[bytes], name: str) -> tuple[int, tuple[Note, ...]]:
    """Which image of a TIFF file is the photo, and what is to be said of the others."""
    found = contents(file)
    if found.raw is not None:
        raise raw_error(name, found.raw)
    if not found.further:
        return found.photo, ()
    return found.photo, (Note("pages", f"{counted(found.further, 'more page')} of the file not analysed"),)


def _reduce(image: PIL.Image.Image, scale_for: Callable[[int, int], float]) -> None:
    """Tell Pillow to decode a JPEG at the smallest of its scales that will do."""
    if not isinstance(image, JpegImageFile):
        return
    width, height = image.size
    wanted = scale_for(height, width) if _orientation(image) in SIDEWAYS else scale_for(width, height)
    for part in (8, 4, 2):
        if 1 / part >= wanted:
            image.draft(None, (max(1, width // part), max(1, height // part)))
            return


def _as_array(image: PIL.Image.Image) -> Image:
    """The pixels of an RGB image, strip by strip: Pillow would hold three copies during the conversion."""
    width, height = image.size
    if height <= _STRIP:
        return np.array(image)
    pixels: Image = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels


def _orientation(image: PIL.Image.Image) -> Any:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a broken EXIF block is no reason to lose the photo
        return 1
