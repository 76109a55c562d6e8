"""Images written in every format that can be read, and damaged by rules.

A seed and a number decide on the rules and the places, so that each damaged image can be made again.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import PIL.Image
from PIL import ImageCms, ImageOps
from pillow_heif import HeifFile, from_pillow

#: Width and height of the files that are damaged, in pixels.
SIZE = (128, 96)

#: Numbers that break what computes with them.
_NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_METADATA = (
    b"Exif\0\0",
    b"EXIF",
    b"eXIf",
    b"ICC_PROFILE",
    b"ICCP",
    b"iCCP",
    b"acsp",
    b"colr",
    b"MPF\0",
    b"II*\0",
    b"MM\0*",
)

Rule = Callable[[bytearray, random.Random, Sequence[bytes]], bytearray]


def seeds(photo: PIL.Image.Image) -> dict[str, list[bytes]]:
    """A photo written in every way that its format has and Pillow writes; by the name of the format."""
    photo = ImageOps.fit(photo.convert("RGB"), SIZE)
    turned = photo.transpose(PIL.Image.Transpose.ROTATE_90)
    gray, palette, clear, ink = (photo.convert(mode) for mode in ("L", "P", "RGBA", "CMYK"))
    clear.putalpha(gray)
    deep = PIL.Image.fromarray(np.asarray(gray).astype(np.uint16) << 8)
    real = PIL.Image.fromarray(np.asarray(gray) / np.float32(255))
    line = photo.convert("1")
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker" * 5
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    notes = {"exif": exif, "icc_profile": srgb.replace(b"sRGB", b"mine")}
    more = {"save_all": True, "append_images": [photo]}
    plans: dict[str, list[tuple[PIL.Image.Image, dict[str, object]]]] = {
        "JPEG": [
            (photo, notes),
            (photo, {"progressive": True, "subsampling": 0, "icc_profile": icc}),
            (gray, {"exif": exif}),
            (ink, {"restart_marker_blocks": 3}),
        ],
        "MPO": [(photo, {"save_all": True, "append_images": [turned], "exif": exif})],
        "PNG": [
            (photo, notes),
            (palette, {"transparency": 3}),
            (deep, {}),
            (clear, {}),
            (line, {"exif": exif}),
            (photo, more),
        ],
        "WEBP": [(photo, notes), (clear, {"lossless": True, "method": 0}), (photo, more)],
        "GIF": [(palette, {}), (palette, {"transparency": 5, **more}), (gray, {"interlace": True})],
        "TIFF": [
            *(
                (photo, {"compression": kind} | notes)
                for kind in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
            ),
            *((line, {"compression": kind}) for kind in ("group3", "group4")),
            (ink, {"compression": "tiff_lzw"}),
            (deep, {"compression": "tiff_deflate"}),
            (real, {}),
            (palette, more),
            (photo, {"big_tiff": True}),
        ],
        "BMP": [(photo, {}), (palette, {}), (line, {}), (clear, {})],
        "PPM": [(photo, {}), (gray, {}), (line, {}), (deep, {}), (real, {})],
        "JPEG2000": [
            (photo, {}),
            (gray, {"no_jp2": True}),
            (clear, {"irreversible": True}),
            (photo, {"num_resolutions": 2, "tile_size": (64, 64)}),
        ],
        "AVIF": [(photo, {"speed": 10, **notes}), (clear, {"speed": 10}), (photo, {"speed": 10, **more})],
    }
    written = {kind: [_written(image, kind, options) for image, options in plan] for kind, plan in plans.items()}
    written["HEIC"] = [_heic(from_pillow(image), notes) for image in (photo, clear)]
    written["PNG"].append(_interlaced(photo))
    return written


def _written(image: PIL.Image.Image, kind: str, options: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _heic(image: HeifFile, notes: dict[str, object]) -> bytes:
    file = io.BytesIO()
    image.save(file, quality=50, exif=notes["exif"].tobytes(), icc_profile=notes["icc_profile"])
    return file.getvalue()


def _interlaced(photo: PIL.Image.Image) -> bytes:
    """A PNG in Adam7 passes, which Pillow does not write (PNG 1.2, section 2.6)."""
    pixels = np.asarray(photo)
    rows = b""
    for x, y, right, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        part = pixels[y::down, x::right]
        rows += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""
    header = struct.pack(">2L5B", *photo.size, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in chunks
    )


def _flip(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Flip up to 64 bits, in half of the cases all among the first 512 bytes."""
    end = min(len(data), 512) if rng.random() < 0.5 else len(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        data[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return data


def _truncate(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Cut the end off."""
    return data[: rng.randrange(len(data))]


def _wrong_header(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Begin as another file does."""
    length = rng.choice((4, 8, 12, 16, 32, 128))
    return bytearray(rng.choice(others)[:length]) + data[length:]


def _splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Put a piece of this or another file at another place, or take a piece out."""
    source = data if rng.random() < 0.5 else rng.choice(others)
    start = rng.randrange(len(source))
    piece = source[start : start + rng.choice((1, 4, 16, 64, 512, 4096))]
    at = rng.randrange(len(data))
    if rng.random() < 0.3:
        return data[:at] + data[at + len(piece) :]
    return data[:at] + piece + data[at + (len(piece) if rng.random() < 0.5 else 0) :]


def _wrong_size(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Write another number where the width or the height stands."""
    layouts = [struct.pack(layout, side) for layout in (">H", "<H", ">L", "<L") for side in SIZE]
    places = [(at, len(text)) for text in layouts for at in _places(data, text, 4096)]
    places += [(at, len(text)) for text in (str(side).encode() for side in SIZE) for at in _places(data, text, 16)]
    if not places:
        return _wrong_number(data, rng, others)
    at, length = rng.choice(places)
    number = rng.choice((*_NUMBERS, *(side + step for side in SIZE for step in (-1, 1, 8))))
    data[at : at + length] = (number % 256**length).to_bytes(length, rng.choice(("big", "little")))
    return data


def _wrong_number(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Write a number that is hard to compute with somewhere, mostly near the start: lengths, offsets, counts."""
    at = rng.randrange(min(len(data), rng.choice((64, 512, 10**9))))
    length = rng.choice((1, 2, 4, 8))
    number = rng.choice(_NUMBERS) % 256**length
    data[at : at + length] = number.to_bytes(length, rng.choice(("big", "little")))
    return data


def _metadata(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Damage the EXIF block or the colour profile."""
    places = [at for mark in _METADATA for at in _places(data, mark, len(data))]
    if not places:
        return _flip(data, rng, others)
    start = rng.choice(places)
    for _ in range(rng.choice((1, 4, 16))):
        at = min(start + rng.randrange(400), len(data) - 1)
        data[at] = rng.choice((0, 255, data[at] ^ 1 << rng.randrange(8)))
    return data


def _blank(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> bytearray:
    """Overwrite a run of bytes with one value, as a disk that lost a sector does."""
    at, length = rng.randrange(len(data)), rng.choice((16, 512, 4096))
    length = min(length, len(data) - at)
    data[at : at + length] = bytes([rng.choice((0, 255))]) * length
    return data


RULES: tuple[Rule, ...] = (_flip, _truncate, _wrong_header, _splice, _wrong_size, _wrong_number, _metadata, _blank)


def _places(data: bytearray, text: bytes, end: int) -> Iterator[int]:
    at = data.find(text, 0, end)
    while at >= 0:
        yield at
        at = data.find(text, at + 1, end)


def _with_checksums(data: bytearray) -> bytearray:
    """A PNG file with the checksums of its chunks put right, so that damage gets past them."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return data


def mutated(files: dict[str, list[bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """The format and the bytes of one damaged image: the same for the same files, seed and number.

    Args:
        files: by format, as `seeds` gives them for one photo or several.
        seed, number: they decide; formats and rules come round in turn.
    """
    rng = random.Random(f"{seed}/{number}")
    kinds = list(files)
    kind = kinds[number % len(kinds)]
    data = bytearray(rng.choice(files[kind]))
    others = [text for some in files.values() for text in some[:1]]
    rules = [RULES[number // len(kinds) % len(RULES)], *rng.choices(RULES, k=rng.choice((0, 0, 1, 2)))]
    for rule in rules:
        if len(data) > 16:
            data = rule(data, rng, others)
    if kind == "PNG" and rng.random() < 0.7:
        data = _with_checksums(data)
    return kind, bytes(data)
