import base64
import dataclasses
import io
import zipfile

import numpy as np
import PIL.Image
import pytest

from facegender.errors import InputError
from facegender.faces.decode import decode, decode_pillow
from facegender.inference.pipeline import FaceAnalyzer


@pytest.fixture(scope="module")
def analyzer(tiny_model, tiny_detector):
    return FaceAnalyzer(tiny_model, tiny_detector, threads=1)


@pytest.fixture(scope="module")
def square():
    """A red square in gray, off the middle both ways."""
    image = np.full((120, 150, 3), 60, np.uint8)
    image[50:100, 20:70] = (255, 0, 0)
    return image


@pytest.fixture
def path(save, square):
    return save("square.png", square)


def closed(path):
    file = path.open("rb")
    file.close()
    return file


@pytest.mark.parametrize(
    "given",
    [
        str,
        lambda path: path.read_bytes(),
        lambda path: bytearray(path.read_bytes()),
        lambda path: memoryview(path.read_bytes()),
        lambda path: path.open("rb"),
        lambda path: io.BytesIO(path.read_bytes()),
        PIL.Image.open,
        lambda path: np.array(PIL.Image.open(path)),
        lambda path: np.array(PIL.Image.open(path))[:, ::-1][:, ::-1],
        lambda path: np.array(PIL.Image.open(path).convert("RGBA")),
        lambda path: "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        lambda path: "data:;BASE64," + base64.urlsafe_b64encode(path.read_bytes()).decode().replace("=", "%3D"),
        lambda path: "DATA:image/png," + "".join(f"%{byte:02x}" for byte in path.read_bytes()),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_whatever_holds_the_photo_gives_its_answer(given, analyzer, path):
    photo = given(path)
    expected, found = analyzer.analyze(path), analyzer.analyze(photo)
    assert len(expected.faces) == 1
    assert dataclasses.replace(found, path="") == dataclasses.replace(expected, path="")
    named = isinstance(photo, str | io.BufferedReader | PIL.Image.Image) and "data:" not in str(photo)[:5].lower()
    assert found.path == (str(path) if named else "")


@pytest.mark.parametrize("shape", [(120, 150), (120, 150, 1)])
def test_gray_arrays_are_gray_photos(shape, analyzer, save, square):
    gray = np.array(PIL.Image.fromarray(square).convert("L"))
    assert analyzer.analyze(gray.reshape(shape)) == dataclasses.replace(analyzer.analyze(save("g.png", gray)), path="")


def test_transparent_is_white_and_pillow_images_are_turned_upright(analyzer, square, save):
    clear = np.dstack([square, np.full(square.shape[:2], 255, np.uint8)])
    clear[50:100, 20:70, 3] = 0
    assert analyzer.analyze(clear).faces == ()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = save("turned.png", np.rot90(square), exif=exif)
    with PIL.Image.open(path) as image:
        found, expected = analyzer.analyze(image), analyzer.analyze(path)
        assert found == expected
        assert (found.width, found.height, len(found.faces)) == (150, 120, 1)
        assert image.size == (120, 150)


@pytest.mark.parametrize(
    ("photo", "kind", "word"),
    [
        ("https://example.org/a.jpg", "not_found", "is a URL"),
        ("s3://bucket/a.jpg", "not_found", "is a URL"),
        ("data:image/png;base64,x", "not_an_image", "base64"),
        ("data:image/png", "not_an_image", "comma"),
        ("data:,hello", "not_an_image", "not an image"),
        (PIL.Image.new("RGB", (0, 5)), "not_an_image", ""),
        (io.BytesIO(b""), "not_an_image", "empty"),
    ],
)
def test_what_holds_no_photo_is_an_error_of_it(photo, kind, word, analyzer):
    error = analyzer.analyze(photo).error
    assert error.kind == kind
    assert word in error.message


def test_a_closed_file_and_a_large_pillow_image(analyzer, path, tiny_model, tiny_detector):
    assert "closed" in analyzer.analyze(closed(path)).error.message
    small = FaceAnalyzer(tiny_model, tiny_detector, max_pixels=100, threads=1)
    assert small.analyze(PIL.Image.new("RGB", (11, 10))).error.kind == "pixel_limit"
    assert small.analyze(PIL.Image.new("RGB", (10, 10))).error is None


NO_PHOTOS = [None, 7, ["a.jpg"], object(), io.StringIO("text"), np.zeros((4, 4, 3)), np.zeros((2, 4, 4, 3), np.uint8)]


@pytest.mark.parametrize("photo", NO_PHOTOS, ids=lambda photo: type(photo).__name__)
def test_what_is_no_photo_is_named(photo, analyzer, square):
    with pytest.raises(InputError) as caught:
        analyzer.analyze(photo)
    assert isinstance(photo, np.ndarray | io.StringIO) or type(photo).__name__ in str(caught.value)
    results = list(analyzer.analyze_many([square, photo, b"bad", square]))
    assert [r.error and r.error.kind for r in results] == [None, "input", "not_an_image", None]
    assert results[1].error.message == str(caught.value)
    assert results[0] == results[3]


@pytest.mark.parametrize("photo", ["a.jpg", b"x", bytearray(b"x"), io.BytesIO(b"x"), np.zeros((4, 4, 3), np.uint8)])
def test_one_photo_is_not_several(photo, analyzer):
    with pytest.raises(InputError, match="there is analyze"):
        analyzer.analyze_many(photo)


def test_a_batch_of_arrays_is_several(analyzer, square):
    assert [len(r.faces) for r in analyzer.analyze_many(np.stack([square, square * 0]))] == [1, 0]


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_pillow_images_of_more_than_eight_bits_are_not_clipped(mode, save, path):
    """As the same picture in a file."""
    levels = np.linspace(0, 40_000, 64 * 48).reshape(48, 64)
    image = PIL.Image.fromarray(levels.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    assert image.mode == mode
    file = path.with_name(f"deep.{'png' if mode == 'I;16' else 'tif'}")
    image.save(file)
    assert np.array_equal(decode_pillow(image), decode(file))
    assert len(np.unique(decode_pillow(image))) > 100


def test_a_damaged_member_of_an_archive(analyzer, path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, "photo.png")
    data = bytearray(packed.getvalue())
    data[200] ^= 1
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("photo.png") as member:
        assert "CRC" in analyzer.analyze(member).error.message


def test_a_photo_opened_as_text(analyzer, path):
    with path.open(encoding="latin-1") as file, pytest.raises(InputError, match="reading bytes"):
        analyzer.analyze(file)
