"""Photos in which red squares are faces, and a preparation that sees them so."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as PillowImage

from facegender.inference.detector import OnnxDetector
from facegender.lab.datasets import listing as module


@pytest.fixture(scope="session")
def draw() -> Callable[..., PillowImage.Image]:
    """Gray noise with a red square; its centre in shares of width and height, its half side in shares of the height.

    ``draw(seed)``, ``draw(seed, (0.2, 0.2))``, ``draw(seed, None)`` without a square; `size` is width and height.
    """

    def picture(seed: int, place=(0.5, 0.5), size=(120, 120), half=0.15) -> PillowImage.Image:
        rng = np.random.default_rng(seed)
        gray = PillowImage.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).resize(size)
        pixels = np.array(gray.convert("RGB"))
        if place is not None:
            x, y, reach = round(size[0] * place[0]), round(size[1] * place[1]), round(size[1] * half)
            pixels[y - reach : y + reach, x - reach : x + reach] = (255, 0, 0)
        return PillowImage.fromarray(pixels)

    return picture


@pytest.fixture
def red_squares_are_faces(monkeypatch, tiny_detector):
    """Let `prepare` use the tiny detector."""
    detector = OnnxDetector(tiny_detector, threads=1)
    monkeypatch.setattr(module, "OnnxDetector", lambda: detector)
