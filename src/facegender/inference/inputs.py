"""What people have for a photo: a path, bytes, an open file, a Pillow image, an array, a ``data:`` URI."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import IO, TypeAlias
from urllib.parse import unquote_to_bytes

import numpy as np
import numpy.typing as npt
import PIL.Image

from facegender.errors import ByteLimitError, InputError, NotAnImageError, PhotoNotFoundError, PhotoReadError
from facegender.faces.decode import UNNAMED, decode_pillow
from facegender.faces.types import Image, PhotoError
from facegender.sources.remote import is_url
from facegender.sources.source import MAX_BYTES

#: A path, a ``data:`` URI, the bytes of a file, a file opened for reading bytes, a Pillow image, or a uint8 array:
#: H x W or H x W x 1 (gray), H x W x 3 (RGB), H x W x 4 (RGBA).
Photo: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | PIL.Image.Image | npt.NDArray[np.uint8]
)
#: What the analysis takes: a path, the bytes of a file, or uint8 H x W x 3, RGB.
OpenedPhoto: TypeAlias = str | Path | bytes | Image


def open_photo(photo: object, max_pixels: int) -> tuple[str, OpenedPhoto | PhotoError]:
    """The name of a photo, empty where it has none, and the photo or what is wrong with it.

    Args:
        max_pixels: of a Pillow image.

    Raises:
        InputError: it is something else.
    """
    name = _name_of(photo)
    try:
        return name, _opened(name, photo, max_pixels)
    except PhotoReadError as error:
        return name, PhotoError(error.kind, str(error))


def open_photo_or_error(photo: object, max_pixels: int) -> tuple[str, OpenedPhoto | PhotoError]:
    """As `open_photo`, but what is no photo is an error of the kind ``input`` in its place."""
    try:
        return open_photo(photo, max_pixels)
    except InputError as error:
        return "", PhotoError(error.kind, str(error))


def refuse_one_photo(photos: object) -> None:
    """Raise an InputError where one photo was given in place of several."""
    several = isinstance(photos, np.ndarray) and photos.ndim == 4
    one = isinstance(photos, str | os.PathLike | bytes | bytearray | memoryview | PIL.Image.Image | np.ndarray)
    if (one or hasattr(photos, "read")) and not several:
        raise InputError("analyze_many takes several photos; for one there is analyze")


def _name_of(photo: object) -> str:
    if isinstance(photo, str):
        return "" if _is_data_uri(photo) else photo
    if isinstance(photo, os.PathLike):
        return os.fsdecode(photo)
    # Of an open file, and of a Pillow image that was opened from one.
    name = getattr(photo, "filename" if isinstance(photo, PIL.Image.Image) else "name", "")
    return name if isinstance(name, str) else ""


def _opened(name: str, photo: object, max_pixels: int) -> OpenedPhoto:
    if isinstance(photo, str) and _is_data_uri(photo):
        return _data_of(photo)
    if isinstance(photo, str | os.PathLike):
        if is_url(name):
            raise PhotoNotFoundError(
                f"{name} is a URL, not a file", remedy="facegender.analyze fetches URLs; or give the bytes"
            )
        return name
    if isinstance(photo, bytes | bytearray | memoryview):
        return bytes(photo)
    if isinstance(photo, PIL.Image.Image):
        return decode_pillow(photo, max_pixels=max_pixels, name=name or None)
    if isinstance(photo, np.ndarray):
        return _array(photo)
    if hasattr(photo, "read"):
        return _contents(name, photo)
    raise InputError(
        "a photo is a path, the bytes of a file, an open file, a Pillow image or a NumPy array, "
        f"not {type(photo).__module__}.{type(photo).__qualname__}".replace("builtins.", "")
    )


def _array(array: npt.NDArray[np.uint8]) -> Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise InputError(
            f"an array must be uint8, H x W x 3, or H x W, H x W x 1 or H x W x 4, not {array.dtype}, {array.shape}"
        )
    if channels == 3:
        return array
    image = PIL.Image.fromarray(array.squeeze(2) if array.ndim == 3 and channels == 1 else array)
    return decode_pillow(image, max_pixels=array.size)


def _contents(name: str, file: object) -> bytes:
    if isinstance(file, io.TextIOBase):
        raise InputError("a photo's file must be opened for reading bytes; it gives str")
    try:
        data = file.read(MAX_BYTES + 1)  # type: ignore[attr-defined]
    except Exception as error:  # a closed file is a ValueError; files of archives and of the web raise what they like
        raise PhotoReadError(f"cannot read {name or UNNAMED}: {error}") from error
    if not isinstance(data, bytes):
        raise InputError(f"a photo's file must be opened for reading bytes; it gives {type(data).__name__}")
    if len(data) > MAX_BYTES:
        raise ByteLimitError(f"{name or UNNAMED} has more than {MAX_BYTES} bytes, the limit of an open file")
    return data


def _is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"


def _data_of(uri: str) -> bytes:
    """The bytes that a ``data:`` URI holds (RFC 2397)."""
    head, comma, content = uri.partition(",")
    data = unquote_to_bytes(content)
    if not comma:
        raise NotAnImageError("the data: URI has no comma, and so no content")
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(b"".join(data.split()), altchars=b"-_" if b"-" in data or b"_" in data else None)
    except ValueError as error:
        raise NotAnImageError(f"the data: URI is not base64: {error}") from error
