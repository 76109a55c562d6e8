"""The page's engine in a real browser against the Python pipeline."""

from __future__ import annotations

import base64
import functools
import io
import os
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from facegender import FaceAnalyzer, weights
from facegender.faces.align import DEFAULT_TEMPLATE, crop_face
from facegender.faces.pose import MEAN_SHAPE
from facegender.faces.types import CROP_SIZE, Face, Picture
from facegender.lab.datasets.images import paths_by_name, read_images
from facegender.page import assets, write_page

DATA = Path(os.environ.get("FACEGENDER_DATA", Path(__file__).parents[3] / "shared" / "datasets"))
ARCHIVES = {
    DATA / "lfw" / "lfw-deepfunneled.tar": 10,
    DATA / "fairface" / "val_odd.tar": 8,
    DATA / "utkface" / "UTKFace_tenth.tar": 6,
    DATA / "celeba" / "img_align_celeba_half_first10000.tar": 6,
}

OPEN = """async ([url, backend]) => {
  const { Analyzer } = await import(url + "engine.js");
  window.analyzer = await Analyzer.open({ backend });
  return { backend: analyzer.backend, threads: analyzer.threads, model: analyzer.model };
}"""
ANALYZE = """async photo => {
  const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
  return await analyzer.analyze(new Blob([bytes]));
}"""
CROP = """async ([url, photo, points, template, size]) => {
  const { cropFace } = await import(url + "crops.js");
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(photo), (c) => c.charCodeAt(0))]));
  const { width, height } = bitmap;
  return Array.from(cropFace({ bitmap, width, height }, points, template, size));
}"""


@pytest.fixture(scope="module")
def engine(browser, page_url):
    """A page with the engine loaded, and the addresses that it has asked for."""
    page = browser.new_page()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_url + "models.json")
    page.evaluate(OPEN, [page_url, None])
    yield page, requests
    page.close()


def analyze(page, content):
    return page.evaluate(ANALYZE, base64.b64encode(content).decode())


def assert_same(answer, expected, box=2.0, p_male=0.01):
    """Boxes in pixels, probabilities; in the same order."""
    assert answer["error"] is None
    assert expected.error is None
    assert (answer["width"], answer["height"]) == (expected.width, expected.height)
    assert len(answer["faces"]) == len(expected.faces)
    for ours, theirs in zip(answer["faces"], expected.faces, strict=True):
        np.testing.assert_allclose(ours["box"], theirs.face.box, atol=box)
        np.testing.assert_allclose(ours["landmarks"], theirs.face.landmarks, atol=box)
        np.testing.assert_allclose(ours["score"], theirs.face.score, atol=0.01)
        np.testing.assert_allclose(ours["quality"], theirs.face.quality, atol=0.01)
        np.testing.assert_allclose(ours["p_male"], theirs.prediction.p_male, atol=p_male)


@pytest.mark.data
def test_real_photos_have_the_answers_of_python(engine):
    missing = [path for path in ARCHIVES if not path.exists()]
    if missing:
        pytest.skip(f"{missing[0]} is absent; FACEGENDER_DATA names another folder")
    page, _ = engine
    analyzer = FaceAnalyzer()
    faces = 0
    for archive, wanted in ARCHIVES.items():
        names = [name for name in sorted(paths_by_name(archive)) if name.endswith(".jpg")]
        sample = set(names[:: len(names) // wanted][:wanted])
        for _, content in read_images(archive, sample):
            expected = analyzer.analyze(content)
            assert_same(analyze(page, content), expected)
            faces += len(expected.faces)
    assert faces >= 30


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "rotated", "gray", "transparent", "large", "small"])
def test_a_photo_of_every_kind(engine, astronaut, kind):
    page, _ = engine
    image, options = PIL.Image.fromarray(astronaut), {}
    if kind == "rotated":
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        image, kind, options = image.transpose(PIL.Image.Transpose.ROTATE_90), "JPEG", {"exif": exif}
    elif kind == "gray":
        image, kind = image.convert("L"), "JPEG"
    elif kind == "transparent":
        image.putalpha(PIL.Image.linear_gradient("L").resize(image.size).point(lambda v: 255 if v > 20 else 0))
        kind = "PNG"
    elif kind == "large":  # the Python pipeline decodes it at half its size
        image, kind, options = image.resize((3000, 3000), PIL.Image.Resampling.LANCZOS), "JPEG", {"quality": 92}
    elif kind == "small":
        image, kind = image.resize((96, 96), PIL.Image.Resampling.LANCZOS), "PNG"
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    expected = FaceAnalyzer().analyze(file.getvalue())
    assert expected.faces
    # This face is uncertain, where p_male is steepest: no two JPEG decoders round alike, and half the size shows more.
    tolerance = 0.12 if options.get("quality") else 0.03 if kind == "JPEG" else 0.01
    assert_same(analyze(page, file.getvalue()), expected, p_male=tolerance)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_faces_that_are_not_upright(engine, astronaut, turns):
    page, _ = engine
    file = io.BytesIO()
    PIL.Image.fromarray(np.rot90(astronaut, turns)).save(file, format="PNG")
    expected = FaceAnalyzer().analyze(file.getvalue())
    assert expected.faces[0].face.turned == -90 * turns % 360
    answer = analyze(page, file.getvalue())
    assert_same(answer, expected)
    assert answer["notes"] == expected.to_dict()["notes"]


def test_a_photo_without_faces_is_searched_in_all_ways_up(engine, noise):
    page, _ = engine
    file = io.BytesIO()
    PIL.Image.fromarray(noise).save(file, format="PNG")
    assert_same(analyze(page, file.getvalue()), FaceAnalyzer().analyze(file.getvalue()))


@pytest.mark.parametrize("pattern", ["screen", "grain"])
def test_prints_and_grain_are_smoothed_alike(engine, astronaut, pattern):
    page, _ = engine
    y, x = np.mgrid[0:512, 0:512]
    if pattern == "screen":
        lattice = 0.5 + 0.25 * (np.cos(1.45 * x + 0.4 * y) + np.cos(1.45 * y - 0.4 * x))
        pixels = np.where(astronaut[..., 1] > 255 * lattice, 255, 0)
    else:
        pixels = np.clip(astronaut[..., 1] + np.random.default_rng(3).normal(0, 40, (512, 512)), 0, 255)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
    expected = FaceAnalyzer().analyze(file.getvalue())
    assert expected.faces
    answer = analyze(page, file.getvalue())
    assert_same(answer, expected, p_male=0.05)
    assert answer["notes"] == expected.to_dict()["notes"]
    assert answer["notes"][0]["kind"] == pattern


@pytest.mark.parametrize(
    ("period", "side", "turned"),
    [(20, 2601, False), (20, 2601, True), (2.6, 400, False)],
    ids=["coarse", "coarse, by EXIF", "fine, with small faces"],
)
def test_large_jpegs_are_looked_at_as_python_decodes_them(engine, astronaut, period, side, turned):
    page, _ = engine
    portrait = np.array(PIL.Image.fromarray(astronaut[..., 1]).resize((side, side), PIL.Image.Resampling.LANCZOS))
    gray = np.full((2601, 2999), 128, np.uint8)
    for top, left in ((0, 0), (1300, 1900), (2100, 500)) if side == 400 else ((0, 0),):
        gray[top : top + side, left : left + side] = portrait
    y, x = np.mgrid[0:2601, 0:2999].astype(np.float32) * (2 * np.pi / period)
    lattice = np.cos(0.96 * x + 0.27 * y) + np.cos(0.96 * y - 0.27 * x)
    image = PIL.Image.fromarray(np.clip(gray + 52 * lattice, 0, 255).astype(np.uint8))
    exif = PIL.Image.Exif()
    if turned:
        exif[0x0112] = 6
        image = image.transpose(PIL.Image.Transpose.ROTATE_90)
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=92, exif=exif)
    expected = FaceAnalyzer().analyze(file.getvalue())
    assert len(expected.faces) == (3 if side == 400 else 1)
    answer = analyze(page, file.getvalue())
    assert_same(answer, expected, p_male=0.07)  # steep, as above
    assert answer["notes"] == expected.to_dict()["notes"]
    assert answer["notes"][0]["kind"] == "screen"


@pytest.mark.parametrize("upright", [True, False])
def test_long_photos_are_cut_in_the_same_tiles(engine, astronaut, upright):
    page, _ = engine
    long = np.full((5000, 512, 3), 128, np.uint8)
    for top in (0, 1100, 3333, 4488):
        long[top : top + 512] = astronaut
    if not upright:
        long = np.full((320, 5000, 3), 128, np.uint8)
        for left in (3, 1171, 4488):
            long[:, left : left + 512] = astronaut[:320]
    file = io.BytesIO()
    PIL.Image.fromarray(long).save(file, format="PNG")
    expected = FaceAnalyzer().analyze(file.getvalue())
    assert len(expected.faces) >= 3
    assert_same(analyze(page, file.getvalue()), expected, p_male=0.015)  # steep, as above


@pytest.mark.parametrize(("width", "height"), [(40, 96), (96, 40), (1, 96), (40, 40), (96, 96)])
def test_crops_that_shrink_along_one_side_only(engine, page_url, width, height):
    page, _ = engine
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, format="PNG")
    photo = base64.b64encode(file.getvalue()).decode()
    for scale in (0.7, 0.98, 0.99, 0.999, 1.2):  # at 0.99, 40 pixels stay 40, and 76 become 75
        eyes = CROP_SIZE / scale / 3.1  # between them
        points = [
            [width / 2 + eyes * (0.96 * x + 0.28 * y), height / 2 + eyes * (0.96 * y - 0.28 * x)] for x, y in MEAN_SHAPE
        ]
        face = Face((0, 0, width, height), tuple(map(tuple, points)), 1.0)
        expected = crop_face(Picture.of(pixels), face, DEFAULT_TEMPLATE)
        crop = page.evaluate(CROP, [page_url, photo, points, DEFAULT_TEMPLATE.points, CROP_SIZE])
        assert np.abs(np.reshape(crop, expected.shape) - expected.astype(int)).max() <= 1


def test_what_is_no_photo_is_an_error_and_the_next_photo_is_answered(engine, astronaut):
    page, _ = engine
    answer = analyze(page, b"no photo")
    assert answer["error"]["kind"] == "not_an_image"
    assert answer["faces"] == []
    file = io.BytesIO()
    PIL.Image.fromarray(astronaut).save(file, format="PNG")
    assert analyze(page, file.getvalue())["faces"]


def test_nothing_is_asked_for_once_the_page_is_loaded(engine, page_url, astronaut):
    page, requests = engine
    before = len(requests)
    file = io.BytesIO()
    PIL.Image.fromarray(astronaut).save(file, format="PNG")
    assert analyze(page, file.getvalue())["faces"]
    assert len(requests) == before
    assert all(url.startswith(page_url) for url in requests)


def test_another_model(engine, astronaut):
    page, _ = engine
    file = io.BytesIO()
    PIL.Image.fromarray(astronaut).save(file, format="PNG")
    other = next(name for name in weights.list_models() if name != weights.DEFAULT)
    page.evaluate("name => analyzer.use(name)", other)
    try:
        assert_same(analyze(page, file.getvalue()), FaceAnalyzer(other).analyze(file.getvalue()))
    finally:
        page.evaluate("name => analyzer.use(name)", weights.DEFAULT)


def test_a_gpu_gives_the_same_numbers(launch, page_url, astronaut):
    # One that the CPU plays, and slowly: a small photo.
    with launch(
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
        "--ignore-gpu-blocklist",
    ) as browser:
        page = browser.new_page()
        page.goto(page_url + "models.json")
        if not page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
            pytest.skip("this browser has no WebGPU")
        assert page.evaluate(OPEN, [page_url, "webgpu"])["backend"] == "webgpu"
        file = io.BytesIO()
        PIL.Image.fromarray(astronaut[40:200, 140:300]).resize((80, 80)).save(file, format="PNG")
        expected = FaceAnalyzer().analyze(file.getvalue())
        assert expected.faces
        assert_same(analyze(page, file.getvalue()), expected)


def test_static_files_on_any_server(browser, tmp_path, astronaut):
    folder = tmp_path / "page"
    assert write_page(folder) == len(assets())
    assert write_page(folder) == len(assets())  # over an older one
    handler = functools.partial(_Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        page = browser.new_page()
        page.goto(url + "models.json")
        assert page.evaluate(OPEN, [url, None]) == {"backend": "wasm", "threads": 1, "model": weights.DEFAULT}
        file = io.BytesIO()
        PIL.Image.fromarray(astronaut).save(file, format="PNG")
        assert_same(analyze(page, file.getvalue()), FaceAnalyzer().analyze(file.getvalue()))
        page.close()
        server.shutdown()
        thread.join()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
