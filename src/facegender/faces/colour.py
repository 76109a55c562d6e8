"""From the pixel layouts of image files to sRGB with eight bits."""

from __future__ import annotations

import io
from typing import Any

import PIL.Image
from PIL import ImageCms

#: Of a profile's colour space, the Pillow mode that it fits.
_SRGB_COLOURS = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}


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
