"""Films that the tests make: red squares on gray, which the tiny detector takes for faces."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facegender.faces.types import Image
from facegender.inference.detector import OnnxDetector
from facegender.video.analyze import VideoAnalyzer

WIDTH, HEIGHT = 320, 192


def scene(*squares, background=(90, 90, 90)) -> Image:
    """A frame with squares: x and y of the middle, side, and colour (red where it is not given)."""
    image = np.full((HEIGHT, WIDTH, 3), background, np.uint8)
    for x, y, side, *colour in squares:
        left, top = round(x - side / 2), round(y - side / 2)
        image[max(top, 0) : top + side, max(left, 0) : left + side] = colour[0] if colour else (250, 10, 10)
    return image


def _film(path: Path, frames: Iterable[Image], times=None, rate=25, sound=False, codec="libx264", **options) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, options={"crf": "12", "preset": "veryfast", **options})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        noise = output.add_stream("aac", rate=16_000, layout="mono") if sound else None
        count = 0
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(1000 * (number / rate if times is None else times[number]))
            frame.time_base = Fraction(1, 1000)
            output.mux(stream.encode(frame))
            count += 1
        output.mux(stream.encode())
        if noise is not None:
            for start in range(0, int(16_000 * count / rate), 1024):
                samples = (np.sin(np.arange(start, start + 1024) / 5) * 8000).astype(np.int16)[None]
                heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                heard.sample_rate, heard.pts = 16_000, start
                output.mux(noise.encode(heard))
            output.mux(noise.encode())
    return path


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """Write frames as a film: ``film(frames, name="a.mp4", times=None, rate=25, sound=False, codec=...)``."""

    def write(frames, name="film.mp4", **options) -> Path:
        return _film(tmp_path / name, frames, **options)

    return write


@pytest.fixture(scope="session")
def analyzer(tiny_model, tiny_detector) -> Callable[..., VideoAnalyzer]:
    """An analyser with the tiny networks."""

    def make(**options) -> VideoAnalyzer:
        return VideoAnalyzer(tiny_model, OnnxDetector(tiny_detector, min_face=16, threads=1), **options)

    return make


@pytest.fixture(scope="session")
def walk() -> Callable[..., list[Image]]:
    """Frames of one face that walks from left to right: ``walk(count)``."""

    def frames(count: int = 50) -> list[Image]:
        return [scene((60 + 160 * i / count, 90, 40)) for i in range(count)]

    return frames
