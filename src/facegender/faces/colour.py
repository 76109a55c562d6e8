"""From the pixel layouts of image files to sRGB with eight bits.

Samples of more bits are scaled by the depth that they really have. Cameras and scanners put 10, 12 or 14 bits into
files of 16, whose brightest possible value then is 1023, 4095 or 16383. Few files say so: PNG's sBIT does not, since it
counts the significant bits of samples that fill all 16. The rule: the depth that the file states, where it states one
that holds its brightest sample; or else the least of `DEPTHS` that does. A photo of 16 real bits without a sample in
the upper three quarters is brightened by it.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageCms
from PIL.ImageFile import ImageFile

#: Bits of a sample, as the devices have it.
DEPTHS = (8, 10, 12, 14, 16)
#: Formats whose decoders scale samples of any depth to all 16 bits.
_SCALED = ("PPM", "JPEG2000")

#: What Pillow calls the layout of a file's samples, when it keeps only their high bytes, and the layout that keeps
#: the low ones instead.
_LOW_BYTES = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBX", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
}
#: Gray and alpha of 16 bits: both bytes of both at once, as four bands.
_GRAY_ALPHA = "LA;16B"

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281

#: Of a profile's colour space, the Pillow mode that it fits.
_SRGB_COLOURS = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}


def scale_samples(image: ImageFile, layout: str, again: Callable[[], ImageFile]) -> PIL.Image.Image:
    """An image of which Pillow has kept more than eight bits, or only the high ones, with eight bits a sample.

    Args:
        image: loaded; other images come back as they are.
        layout: of its samples in the file, as `sample_layout` gave it before it was loaded.
        again: opens the same image again, not yet loaded.

    Returns:
        Mode ``L`` for gray without alpha, or the image's own mode.

    Raises:
        Exception: whatever Pillow raises where the second reading fails.
    """
    gray = scale_gray(image)
    if gray is not image or (layout not in _LOW_BYTES and layout != _GRAY_ALPHA):
        return gray
    bands = image.mode.replace("A", "")
    colours: Any = image.getextrema()
    # Most fill their 16 bits, and need no second look.
    if max(high for _, high in colours[: len(bands)]) >= 1 << DEPTHS[-2] - 8:
        return image
    return PIL.Image.fromarray(_scaled(_samples(image, layout, again()), _stated(image)), image.mode)


def sample_layout(image: ImageFile) -> str:
    """Pillow's name of how the samples lie in the file; empty where it has none. Only before the image is loaded."""
    args: Any = image.tile[0].args if image.tile else ""
    layout = args if isinstance(args, str) else args[0] if args else ""
    return str(layout)


def _samples(image: ImageFile, layout: str, second: ImageFile) -> npt.NDArray[np.uint16]:
    """All 16 bits of the samples: H x W x bands of the image's mode."""
    read = "RGBA" if layout == _GRAY_ALPHA else _LOW_BYTES[layout]
    second.tile = [
        tile._replace(args=read if isinstance(tile.args, str) else (read, *(tile.args or ())[1:]))
        for tile in second.tile
    ]
    second.load()
    low: npt.NDArray[np.uint16] = np.asarray(second).astype(np.uint16)
    if layout == _GRAY_ALPHA:
        gray, alpha = low[..., 0] << 8 | low[..., 1], low[..., 2] << 8 | low[..., 3]
        return np.stack([gray, gray, gray, alpha], axis=-1)
    high: npt.NDArray[np.uint16] = np.asarray(image).astype(np.uint16)
    np.left_shift(high, 8, out=high)
    return np.bitwise_or(high, low, out=high)


def _scaled(samples: npt.NDArray[np.uint16], stated: int | None) -> npt.NDArray[np.uint8]:
    """Eight bits of H x W x 3 or 4 samples; the fourth, alpha, may fill more bits than the colours."""
    bits = _depth(int(samples[..., :3].max()), stated)
    out = (samples >> bits - 8).astype(np.uint8)
    if samples.shape[2] == 4:
        alpha = max(bits, _depth(int(samples[..., 3].max()), stated))
        out[..., 3] = samples[..., 3] >> alpha - 8
    return out


def _depth(brightest: int, stated: int | None) -> int:
    """Bits of samples whose brightest value is given."""
    allowed = DEPTHS if stated is None else (stated, DEPTHS[-1])
    return next(bits for bits in allowed if brightest < 1 << bits)


def _stated(image: PIL.Image.Image) -> int | None:
    """The depth that the file states; None where it does not."""
    if image.mode == "F":
        return None
    if getattr(image, "format", None) in _SCALED:
        return DEPTHS[-1]
    tags = getattr(image, "tag_v2", {})
    highest, bits = tags.get(_MAX_SAMPLE_VALUE), tags.get(_BITS_PER_SAMPLE)
    if isinstance(highest, tuple):
        highest = max(highest, default=None)
    if isinstance(highest, int) and 255 <= highest < 65536:
        return highest.bit_length()
    if isinstance(bits, tuple) and bits and 8 < bits[0] < DEPTHS[-1]:
        return int(bits[0])
    return None


def scale_gray(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale 16-bit, 32-bit and float gray, which Pillow would clip, to mode ``L``; other images come back as they are.

    16-bit images keep the high byte of their depth. The others do not state their range, so it is taken to be the
    smallest usual one (1 for floats, `DEPTHS`, 32 bits) that holds the brightest pixel.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    pixels: npt.NDArray[Any] = np.asarray(image)
    stated = _stated(image)
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((pixels >> _depth(int(pixels.max()), stated) - 8).astype(np.uint8))
    values: npt.NDArray[np.floating[Any]] = np.nan_to_num(pixels.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    if low < 0:
        values = values.astype(np.float64) - low  # the largest float32 and the smallest lie too far apart for it
        full = (high - low) or 1.0
    else:
        depths = DEPTHS if stated is None else (stated, *DEPTHS)
        ranges = ((1.0,) if image.mode == "F" else ()) + tuple(2.0**bits - 1 for bits in (*depths, 32))
        full = next((top for top in ranges if high <= top), high)
    return PIL.Image.fromarray(np.rint(values * (255.0 / full)).astype(np.uint8))


def to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """An image of any mode with eight bits a sample in mode ``RGB``, sRGB.

    Transparent parts become white, and an embedded profile is converted where it is sound.

    Raises:
        Exception: whatever Pillow raises for a mode that it cannot convert.
    """
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = PIL.Image.new("RGB", rgba.size, "white")
        white.paste(_to_srgb(rgba.convert("RGB"), profile), mask=rgba.getchannel("A"))
        return white
    if image.mode in ("1", "P"):
        image = image.convert("RGB")
    return _to_srgb(image, profile)


def _to_srgb(image: PIL.Image.Image, profile: Any) -> PIL.Image.Image:
    """Convert to RGB, through the embedded profile where it is sound and fits the pixels."""
    if isinstance(profile, bytes) and profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            fits = _SRGB_COLOURS.get(embedded.profile.xcolor_space) == image.mode
            if fits and not ImageCms.getProfileDescription(embedded).startswith("sRGB IEC61966"):
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, embedded, srgb, outputMode="RGB")
                if converted is not None:
                    return converted
    return image if image.mode == "RGB" else image.convert("RGB")
