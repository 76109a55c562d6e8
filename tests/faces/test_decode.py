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
from facegender.faces.decode import decode, decode_reduced

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


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
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
    monkeypatch.setattr("facegender.faces.decode._HAS_HEIF", False)
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
