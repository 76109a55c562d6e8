"""From the pixel layouts of image files to sRGB with eight bits."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageCms

#: Of a profile's colour space, the Pillow mode that it fits.
_SRGB_COLOURS = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}


def to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """An image of any mode in mode ``RGB``, sRGB, eight bits.

    Transparent parts become white, deep gray is scaled, and an embedded profile is converted where it is sound.

    Raises:
        Exception: whatever Pillow raises for a mode that it cannot convert.
    """
    if image.mode.startswith(("I", "F")):
        image = _eight_bit_gray(image)
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
        try:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            fits = _SRGB_COLOURS.get(embedded.profile.xcolor_space) == image.mode
            if fits and not ImageCms.getProfileDescription(embedded).startswith("sRGB IEC61966"):
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, embedded, srgb, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bit_gray(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale 16-bit, 32-bit and float gray to mode ``L``.

    16-bit images keep their high byte. The others do not state their range, so it is taken to be the
    smallest usual one (1 for floats, 8, 16 or 32 bits) that holds the brightest pixel.
    """
    pixels: npt.NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I;16"):
        return PIL.Image.fromarray((pixels >> 8).astype(np.uint8))
    values: npt.NDArray[np.floating[Any]] = np.nan_to_num(pixels.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    if low < 0:
        values = values.astype(np.float64) - low  # the largest float32 and the smallest lie too far apart for it
        full = (high - low) or 1.0
    else:
        ranges = ((1.0,) if image.mode == "F" else ()) + (255.0, 65535.0, 4294967295.0)
        full = next((top for top in ranges if high <= top), high)
    return PIL.Image.fromarray(np.rint(values * (255.0 / full)).astype(np.uint8))
