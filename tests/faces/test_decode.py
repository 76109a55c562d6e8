import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from facegender.errors import (
    NotAnImageError,
    PhotoNotFoundError,
    PhotoPermissionError,
    PhotoReadError,
    PixelLimitError,
    TruncatedImageError,
)
from facegender.faces import tiff
from facegender.faces.decode import decode, decode_reduced
from facegender.faces.types import Note

UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_that_claims(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "DIB", "TIFF", "PPM"])
def test_lossless_formats_come_out_as_they_were(kind, noise):
    image = decode(encoded(PIL.Image.fromarray(noise), kind))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, noise)


def heic(image, **options):
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "JPEG2000", "AVIF"])
def test_lossy_formats(kind, noise):
    image = decode(encoded(PIL.Image.fromarray(noise), kind))
    assert image.shape == noise.shape
    assert np.abs(image.astype(int) - noise).mean() < 8


def test_path_as_text_and_as_path(save, noise):
    path = save("photo.png", noise)
    np.testing.assert_array_equal(decode(path), decode(str(path)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation(kind, orientation, noise):
    image = PIL.Image.fromarray(noise)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    plain = decode(encoded(image, kind))
    turned = decode(encoded(image, kind, exif=exif))
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](plain))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation, noise):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = PIL.Image.fromarray(noise)
    np.testing.assert_array_equal(decode(encoded(image, "PNG", exif=exif)), noise)


def test_broken_exif_is_ignored(noise):
    data = encoded(PIL.Image.fromarray(noise), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\xff\xff")
    assert decode(data).shape == noise.shape


RAMP = np.linspace(0, 255, 16).reshape(4, 4)


@pytest.mark.parametrize(
    "pixels",
    [
        (RAMP * 257).astype(np.uint16),
        (RAMP * 257).astype(">u2"),
        (RAMP * 257).astype(np.int32),
        (RAMP * 2**23).astype(np.int32),
        RAMP.astype(np.int32),
        (RAMP / 255).astype(np.float32),
        RAMP.astype(np.float32),
        (RAMP * 257).astype(np.float32),
        (RAMP - 255).astype(np.float32),
    ],
    ids=["u16", "u16-be", "i32-16bit", "i32", "i32-8bit", "f-1", "f-255", "f-65535", "f-negative"],
)
def test_deep_gray_is_scaled_and_not_clipped(pixels):
    gray = decode(encoded(PIL.Image.fromarray(pixels), "TIFF"))[..., 0]
    # Signed 32-bit numbers fill the lower half of 32 bits.
    expected = RAMP / 2 if pixels.max() > 65535 else RAMP
    assert np.abs(gray - expected).max() <= 1


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_float_map_is_scaled_by_its_brightest_pixel(top):
    data = encoded(PIL.Image.fromarray((RAMP / 255 * top).astype(np.float32)), "PPM")
    assert data.startswith(b"Pf")
    assert np.abs(decode(data)[..., 0] - RAMP).max() <= 1


def test_deep_gray_of_real_depth_is_as_bright_as_with_eight_bits(astronaut):
    gray = np.asarray(PIL.Image.fromarray(astronaut).convert("L"))
    for bits in (8, 10, 12, 14, 16):
        deep = np.rint(gray * ((2**bits - 1) / 255)).astype(np.uint16)
        for kind in ("PNG", "TIFF"):
            image = decode(encoded(PIL.Image.fromarray(deep), kind))
            assert np.abs(image[..., 1].astype(int) - gray).max() <= 1, (bits, kind)


def deep_png(samples, interlaced=False):
    """A PNG file of 16-bit samples, H x W x 1 to 4 bands, which Pillow does not write."""
    height, width, bands = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def deep_tiff(samples, order="<", **tags):
    """An uncompressed TIFF file of 16-bit samples, H x W x 3 or 4 bands; more tags by their names in Pillow."""
    height, width, bands = samples.shape
    data = samples.astype(order + "u2").tobytes()
    entries = {256: (4, width), 257: (4, height), 259: (3, 1), 262: (3, 2), 273: (4, 300), 277: (3, bands)}
    entries |= {278: (4, height), 279: (4, len(data))} | {int(tag[1:]): (3, value) for tag, value in tags.items()}
    if bands == 4:
        entries[338] = (3, 2)
    entries[258] = (3, 16)
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, (kind, value) in sorted(entries.items()):
        packed = struct.pack(order + ("H" if kind == 3 else "I"), value).ljust(4, b"\0")
        out += struct.pack(order + "HHI", tag, kind, 1) + packed
    return (out + bytes(4)).ljust(300, b"\0") + data


DEEP = {
    "PNG": deep_png,
    "TIFF": deep_tiff,
    "TIFF big-endian": lambda samples: deep_tiff(samples, ">"),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_deep_colours_of_real_depth(kind, bits, alpha, astronaut):
    part = astronaut[60:160, 180:300]
    deep = np.rint(part * ((2**bits - 1) / 255)).astype(np.uint16)
    if alpha:
        opaque = np.full((*deep.shape[:2], 1), 2**bits - 1, np.uint16)
        deep = np.concatenate([deep, opaque], axis=2)
    image = decode(DEEP[kind](deep))
    assert np.abs(image.astype(int) - part).max() <= 1


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_deep_gray_in_a_compressed_tiff(compression, astronaut):
    gray = astronaut[..., 1]
    deep = (gray.astype(np.uint16) << 4) | (gray >> 4)
    image = decode(encoded(PIL.Image.fromarray(deep), "TIFF", compression=compression))
    np.testing.assert_array_equal(image[..., 0], gray)


@pytest.mark.parametrize("bits", [12, 16])
def test_deep_gray_with_alpha(bits, astronaut):
    gray = astronaut[..., 1].astype(np.uint16) << bits - 8
    clear = np.full_like(gray, 2**bits - 1)
    clear[:256] = 0
    image = decode(deep_png(np.stack([gray, clear], axis=2)))
    assert image[:256].min() == 255
    assert np.abs(image[256:, :, 0].astype(int) - astronaut[256:, :, 1]).max() <= 1


def test_a_dark_photo_whose_file_states_its_depth_stays_dark(astronaut):
    dark = astronaut.astype(np.uint16) * 8
    assert decode(deep_tiff(dark)).max() > 120
    stated = decode(deep_tiff(dark, _281=65535))
    np.testing.assert_array_equal(stated, dark >> 8)
    twelve = decode(deep_tiff(dark, _281=4095))
    np.testing.assert_array_equal(twelve, dark >> 4)


def test_a_format_that_scales_its_samples_is_left_alone(astronaut):
    dark = astronaut[..., 1].astype(np.uint16) * 2
    header = b"P5 512 512 4095\n"
    image = decode(header + dark.astype(">u2").tobytes())
    assert np.abs(image[..., 0].astype(int) - (dark >> 4)).max() <= 1


def test_16_bit_png_keeps_the_high_byte():
    pixels = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 255
    image = decode(encoded(PIL.Image.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(image[..., 1], pixels >> 8)


def test_float_image_with_nan():
    pixels = np.array([[np.nan, 1.0], [0.5, np.inf]], np.float32)
    np.testing.assert_array_equal(decode(encoded(PIL.Image.fromarray(pixels), "TIFF"))[..., 0], [[0, 255], [128, 0]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [((-3e38, 3e38), [0, 255]), ((-1e-44, 1e-44), [0, 255]), ((0, 3e38), [0, 255]), ((-5, -5), [0, 0])],
)
def test_float_image_of_extreme_range(values, expected):
    pixels = np.array([values], np.float32)
    np.testing.assert_array_equal(decode(encoded(PIL.Image.fromarray(pixels), "TIFF"))[0, :, 0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    image = decode(encoded(PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind))
    assert np.abs(image.reshape(-1, 3).astype(int) - [255, 0, 0]).max() < 12


def test_palette_with_alpha_is_put_on_white():
    image = PIL.Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 2), 1)
    out = decode(encoded(image, "PNG", transparency=0))
    assert out[0, 0].tolist() == [255, 255, 255]
    assert out[2, 1].tolist() == [200, 100, 50]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (200, 0, 0, 255), [200, 0, 0]),
        ("RGBA", (0, 0, 0, 51), [204, 204, 204]),
        ("LA", (0, 51), [204, 204, 204]),
        ("L", 77, [77, 77, 77]),
        ("1", 1, [255, 255, 255]),
        ("1", 0, [0, 0, 0]),
    ],
)
def test_alpha_and_gray_modes(mode, colour, expected):
    assert decode(encoded(PIL.Image.new(mode, (3, 2), colour), "PNG"))[1, 2].tolist() == expected


@pytest.mark.parametrize(("mode", "colour", "key"), [("L", 7, 7), ("RGB", (1, 2, 3), (1, 2, 3)), ("1", 0, 0)])
def test_transparent_colour_without_alpha_channel(mode, colour, key):
    data = encoded(PIL.Image.new(mode, (3, 2), colour), "PNG", transparency=key)
    assert decode(data).min() == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind):
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert decode(data)[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_one_pixel(kind):
    assert decode(encoded(PIL.Image.new("RGB", (1, 1), "white"), kind)).tolist() == [[[255, 255, 255]]]


def test_profiles_that_are_srgb_or_broken_or_misplaced_change_nothing():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = PIL.Image.new("RGB", (4, 4), (10, 120, 230))
    for profile in (lab, srgb, b"not a profile", srgb[:200]):
        out = decode(encoded(image, "PNG", icc_profile=profile))
        assert np.abs(out[0, 0].astype(int) - [10, 120, 230]).max() <= 1


@pytest.fixture(scope="module")
def swapped_profile():
    """sRGB in which red looks green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Point the tag of the red primary at the green one, and the other way round.
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def test_another_profile_is_converted_to_srgb(swapped_profile):
    out = decode(encoded(PIL.Image.new("RGB", (4, 4), "red"), "PNG", icc_profile=swapped_profile))
    assert np.abs(out[0, 0].astype(int) - [0, 255, 0]).max() <= 2


def test_heic(noise):
    opened = dict(PIL.Image.OPEN)
    image = PIL.Image.fromarray(noise)
    plain = decode(heic(image))
    assert np.abs(plain.astype(int) - noise).mean() < 8
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    turned = decode_reduced(heic(image, exif=exif.tobytes()), half)
    assert (turned.width, turned.height) == (48, 64)
    assert np.abs(turned.pixels.astype(int) - np.rot90(noise, -1)).mean() < 8
    assert "HEIF" not in PIL.Image.OPEN.keys() - opened.keys()


@pytest.mark.parametrize("kept", [0.02, 0.1, 0.6, 0.9])
def test_truncated_heic(kept, noise):
    data = heic(PIL.Image.fromarray(noise))
    with pytest.raises(TruncatedImageError, match=r"cut short|damaged"):
        decode(data[: int(len(data) * kept)])


def test_heic_without_its_package(noise, monkeypatch, tmp_path):
    path = tmp_path / "phone.heic"
    path.write_bytes(heic(PIL.Image.fromarray(noise)))
    monkeypatch.setattr("facegender.faces.decode.HAS_HEIF", False)
    monkeypatch.setattr("facegender.faces.kinds.HAS_HEIF", False)
    with pytest.raises(NotAnImageError, match=r"phone\.heic.*pip install 'facegender\[heif\]'"):
        decode(path)


def half(width, height):
    return 0.5


@pytest.fixture(scope="module")
def large():
    """Smooth noise, 645 x 483."""
    small = np.random.default_rng(5).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return PIL.Image.fromarray(small).resize((645, 483), PIL.Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("scale", "part"), [(2, 1), (1, 1), (0.51, 1), (0.5, 2), (0.3, 2), (0.25, 4), (0.13, 4), (0.001, 8)]
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_will_do(scale, part, large):
    asked = []
    picture = decode_reduced(encoded(large, "JPEG"), lambda *size: asked.append(size) or scale)
    assert asked == [(645, 483)]
    assert (picture.width, picture.height) == (645, 483)
    assert picture.pixels.shape == (-(-483 // part), -(-645 // part), 3)
    assert picture.pixels.flags.writeable
    reference = np.asarray(large.resize(picture.pixels.shape[1::-1], PIL.Image.Resampling.BOX))
    assert np.abs(picture.pixels.astype(int) - reference).mean() < 5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_formats_are_decoded_in_full(kind, large):
    picture = decode_reduced(encoded(large, kind), half)
    assert picture.pixels.shape == (483, 645, 3)
    assert picture.scale == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_reduced_jpeg(orientation, large):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    asked = []
    picture = decode_reduced(encoded(large, "JPEG", exif=exif), lambda *size: asked.append(size) or 0.5)
    plain = decode_reduced(encoded(large, "JPEG"), half)
    size = (483, 645) if orientation >= 5 else (645, 483)
    assert asked == [size]
    assert (picture.width, picture.height) == size
    np.testing.assert_array_equal(picture.pixels, UPRIGHT[orientation](plain.pixels))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
def test_colours_of_a_reduced_jpeg(mode, options, large):
    data = encoded(large.convert(mode), "JPEG", **options)
    full, reduced = decode(data), decode_reduced(data, half).pixels
    assert reduced.shape == (242, 323, 3)
    reference = np.asarray(PIL.Image.fromarray(full).resize((323, 242), PIL.Image.Resampling.BOX))
    assert np.abs(reduced.astype(int) - reference).mean() < 4


def test_profile_of_a_reduced_jpeg(swapped_profile):
    data = encoded(PIL.Image.new("RGB", (400, 300), "red"), "JPEG", icc_profile=swapped_profile)
    assert np.abs(decode_reduced(data, half).pixels[99, 99].astype(int) - [0, 255, 0]).max() <= 4


def test_a_reduced_jpeg_that_is_cut_short(large):
    data = encoded(large, "JPEG")
    with pytest.raises(TruncatedImageError):
        decode_reduced(data[: len(data) * 2 // 3], half)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (7, 7), (9, 3)])
def test_tiny_jpegs_at_the_smallest_scale(size):
    picture = decode_reduced(encoded(PIL.Image.new("RGB", size, "white"), "JPEG"), lambda width, height: 0.01)
    assert (picture.width, picture.height) == size
    assert picture.pixels.min() == 255


def test_the_pixel_limit_is_of_the_full_photo(large):
    with pytest.raises(PixelLimitError, match="645 x 483"):
        decode_reduced(encoded(large, "JPEG"), half, max_pixels=645 * 483 - 1)


def test_missing_path(tmp_path):
    with pytest.raises(PhotoNotFoundError, match=r"nobody\.jpg"):
        decode(tmp_path / "nobody.jpg")


def test_path_below_a_file(save, noise):
    with pytest.raises(PhotoNotFoundError, match=r"inside\.png"):
        decode(save("photo.png", noise) / "inside.png")


def test_folder(tmp_path):
    with pytest.raises(PhotoNotFoundError, match="is a folder"):
        decode(tmp_path)


def test_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoNotFoundError, match=r"pipe\.jpg"):
        decode(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("name", ["x" * 5000 + ".jpg", "a\0b.jpg"], ids=["too long", "NUL"])
def test_impossible_names(name):
    with pytest.raises(PhotoReadError):
        decode(name)


def test_no_permission(noise, tmp_path, unprivileged):
    path = tmp_path / "private.png"
    PIL.Image.fromarray(noise).save(path)
    path.chmod(0)
    with unprivileged(), pytest.raises(PhotoPermissionError, match=r"private\.png"):
        decode(path)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(NotAnImageError, match=r"empty\.jpg is empty"):
        decode(path)


def test_text_named_jpg(tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_text("Dear reader, this is no photo.\n" * 40)
    with pytest.raises(NotAnImageError, match=r"letter\.jpg.*JPEG, PNG"):
        decode(path)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"BM" + struct.pack("<IIIIiiHHI", 200, 0, 54, 40, 8, 8, 1, 7, 0) + bytes(100), "BMP"),  # 7 bits a pixel
        (b"II+\0" + struct.pack("<HHQ", 8, 0, 2**63), "TIFF"),
        (b"P6\n-8 8\n255\n" + bytes(300), "PPM"),
        (b"\xff\x4f\xff\x51" + bytes(60), "JPEG 2000"),
    ],
)
def test_an_image_that_cannot_be_read_is_not_called_something_else(data, kind):
    with pytest.raises(TruncatedImageError, match=f"starts like {kind} but is cut short, damaged or of an unsupported"):
        decode(data)


def test_a_compression_that_is_not_supported_is_not_called_damage_alone(noise):
    data = bytearray(encoded(PIL.Image.fromarray(noise), "TIFF", compression="tiff_lzw"))
    tag = data.index(struct.pack("<HHIH", 259, 3, 1, 5))  # compression, a short, one of it: LZW
    data[tag + 8 : tag + 10] = struct.pack("<H", 50001)  # WebP, which Pillow's libtiff lacks
    with pytest.raises(TruncatedImageError, match="damaged or of an unsupported kind"):
        decode(bytes(data))


def test_formats_that_run_other_programs_are_not_tried():
    with pytest.raises(NotAnImageError):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("kept", [0.02, 0.1, 0.3, 0.6, 0.9])
def test_truncated(kind, kept, astronaut, tmp_path):
    data = encoded(PIL.Image.fromarray(astronaut[:200, 100:300]), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(TruncatedImageError, match="cut"):
        decode(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_hostile_bytes_raise_nothing_else_and_say_nothing(kind, noise, capfd):
    whole = encoded(PIL.Image.fromarray(noise), kind)
    rng = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        for position in rng.integers(0, min(len(data), 400), 6):
            data[position] = rng.integers(0, 256)
        with suppress(PhotoReadError):
            decode(bytes(data[: rng.integers(1, len(data) + 1)]), max_pixels=1_000_000)
    assert capfd.readouterr() == ("", "")


def pages(*images, **options):
    """A TIFF file of several images; of each, its subfile type and its array."""
    frames = []
    for kind, pixels in images:
        frame = PIL.Image.fromarray(pixels)
        frame.encoderinfo = {"tiffinfo": {254: kind}}
        frames.append(frame)
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:], tiffinfo={254: images[0][0]}, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("first", [1, 0], ids=["a thumbnail that says so", "that does not"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_that_begins_with_its_thumbnail(first, compression, astronaut, tmp_path):
    small = np.asarray(PIL.Image.fromarray(astronaut).resize((96, 96)))
    data = pages((first, small), (0, astronaut), compression=compression)
    path = tmp_path / "scan.tif"
    path.write_bytes(data)
    for source in (data, path):
        picture = decode_reduced(source, half)
        assert (picture.width, picture.height, picture.notes) == (512, 512, ())
        np.testing.assert_array_equal(picture.pixels, astronaut)


def test_a_thumbnail_of_another_shape(astronaut):
    framed = np.zeros((120, 160, 3), np.uint8)
    picture = decode_reduced(pages((0, framed), (0, np.tile(astronaut, (1, 2, 1)))), half)
    assert (picture.width, picture.height, picture.notes) == (1024, 512, ())


def test_a_pyramid_has_no_further_pages(astronaut):
    levels = [(0 if side == 512 else 1, astronaut[:: 512 // side, :: 512 // side]) for side in (512, 256, 128)]
    picture = decode_reduced(pages(*levels), half)
    assert (picture.width, picture.notes) == (512, ())
    unsaid = decode_reduced(pages(*((0, level) for _, level in levels)), half)
    assert (unsaid.width, unsaid.notes) == (512, ())


def test_further_pages_are_remarked(astronaut):
    picture = decode_reduced(pages((2, astronaut), (2, astronaut[::-1]), (2, astronaut[:400])), half)
    np.testing.assert_array_equal(picture.pixels, astronaut)
    assert picture.notes == (Note("pages", "2 more pages of the file not analysed"),)
    one = decode_reduced(pages((0, astronaut), (0, astronaut[::-1])), half)
    assert [note.message for note in one.notes] == ["1 more page of the file not analysed"]


def test_the_pixel_limit_is_of_the_image_that_is_the_photo(astronaut):
    data = pages((1, astronaut[::8, ::8]), (0, astronaut))
    with pytest.raises(PixelLimitError, match="512 x 512"):
        decode(data, max_pixels=512 * 512 - 1)


def raw(tags, inside=None):
    """A TIFF file with a preview of 16 x 16 and more tags, perhaps with the directory of another image inside it."""
    data = bytes(16 * 16)
    entries = {254: 1, 256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 500, 277: 1, 278: 16, 279: len(data)} | tags
    if inside:
        entries[330] = 300
    out = b"II*\0" + struct.pack("<I", 8) + directory(entries)
    out = out.ljust(300, b"\0") + (directory(inside) if inside else b"")
    return out.ljust(500, b"\0") + data


def directory(entries):
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return struct.pack("<H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (raw({50706: 0x0401}), "DNG"),
        (raw({}, {254: 0, 256: 4000, 257: 3000, 262: 32803}), "TIFF/EP"),
        (raw({}, {254: 0, 256: 4000, 257: 3000, 262: 34892}), "TIFF/EP"),
        (raw({}, {254: 0, 256: 4000, 257: 3000, 262: 2}), "TIFF/EP"),
        (raw({262: 32803}), "TIFF/EP"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(100), "Canon CR2"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(100), "Fujifilm RAF"),
        (b"\0\0\0\x18ftypcrx " + bytes(100), "Canon CR3"),
    ],
)
def test_raw_files_are_refused_by_name(data, kind, tmp_path):
    path = tmp_path / "camera.raw"
    path.write_bytes(data)
    with pytest.raises(NotAnImageError, match=rf"camera\.raw is a camera's raw file \({kind}\).*develop it to JPEG"):
        decode(path)


def test_a_plain_tiff_with_a_tag_of_inner_images_is_read():
    assert decode(raw({}, {254: 1, 256: 8, 257: 8, 262: 1})).shape == (16, 16, 3)


def test_directories_without_an_end(astronaut):
    data = bytearray(pages((0, astronaut[:20, :20]), (0, astronaut[:20, :20])))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)  # the first is followed by itself
    assert decode(bytes(data)).shape == (20, 20, 3)
    struct.pack_into("<I", data, first + 2 + 12 * count, len(data) - 3)
    assert decode(bytes(data)).shape == (20, 20, 3)


def test_more_strips_than_any_scanner_writes():
    """Pillow would make objects of each when it opens the file."""
    data = bytearray(raw({}))
    place = data.index(struct.pack("<HHII", 273, 4, 1, 500))
    struct.pack_into("<HHII", data, place, 273, 4, 300_000, 500)
    with pytest.raises(TruncatedImageError, match="300,000 strips"):
        decode(bytes(data) + bytes(2_400_000))


def test_inner_images_that_are_all_the_same(monkeypatch):
    """4,096 times the same place is one directory to read."""
    looked = []
    real = tiff._tags
    monkeypatch.setattr(tiff, "_tags", lambda file, place, layout: looked.append(place) or real(file, place, layout))
    data = bytearray(raw({}, {254: 1, 256: 8, 257: 8, 262: 1}))
    data += struct.pack("<4096I", *[300] * 4096)
    place = data.index(struct.pack("<HHII", 330, 4, 1, 300))
    struct.pack_into("<HHII", data, place, 330, 4, 4096, len(data) - 4 * 4096)
    assert decode(bytes(data)).shape == (16, 16, 3)
    assert looked == [8, 300]


def test_libtiff_says_nothing(capfd):
    image = PIL.Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = bytearray(encoded(image, "TIFF", compression="tiff_lzw", tiffinfo={65000: 7, 65001: 8}))
    data[40:3000] = bytes(2960)
    with ThreadPoolExecutor(4) as pool:
        for failed in pool.map(fails_to_decode, [bytes(data)] * 20):
            assert failed
    assert capfd.readouterr() == ("", "")


def test_libtiff_speaks_again_afterwards(capfd):
    data = bytearray(encoded(PIL.Image.new("RGB", (64, 64)), "TIFF", compression="tiff_lzw"))
    data[40:80] = bytes(40)
    assert fails_to_decode(bytes(data))
    assert capfd.readouterr().err == ""
    with suppress(Exception), PIL.Image.open(io.BytesIO(data)) as image:
        image.load()
    assert capfd.readouterr().err


def fails_to_decode(data):
    try:
        decode(data)
    except PhotoReadError:
        return True
    return False


def test_pixel_limit_is_checked_before_the_pixels(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(50_000, 60_000))
    with pytest.raises(PixelLimitError) as caught:
        decode(path)
    for part in ("bomb.png", "50000 x 60000", "120000000", "--max-pixels 3000000000"):
        assert part in str(caught.value)


def test_pixel_limit_is_the_largest_allowed(noise):
    data = encoded(PIL.Image.fromarray(noise), "PNG")
    assert decode(data, max_pixels=48 * 64).shape == noise.shape
    with pytest.raises(PixelLimitError):
        decode(data, max_pixels=48 * 64 - 1)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_the_limit_of_pillow_neither_holds_nor_changes(kind, noise, monkeypatch):
    data = encoded(PIL.Image.fromarray(noise), kind)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    assert decode(data).shape == noise.shape
    assert PIL.Image.MAX_IMAGE_PIXELS == 10


def test_threads_share_the_limit_and_the_warning_filters(noise):
    odd = encoded(PIL.Image.fromarray(noise), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\xff\xff")
    limit, filters = PIL.Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        shapes = set(pool.map(lambda data: decode(data).shape, [odd] * 40))
    assert shapes == {noise.shape}
    assert limit == PIL.Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


@pytest.mark.parametrize(("side", "offered"), [(20_000, True), (2_000_000, False)])
def test_a_limit_that_no_memory_holds_is_not_proposed(side, offered):
    header = b"P6 %d %d 255\n" % (side, side)
    with pytest.raises(PixelLimitError) as caught:
        decode(header)
    assert ("--max-pixels" in str(caught.value)) == offered
    assert str(side * side) in str(caught.value)
