"""Screens and grain that are drawn over pictures; what is found of them, what is left, and that other pictures stay."""

import math

import cv2
import numpy as np
import pytest

from facegender.faces.prints import smoothed, texture
from facegender.faces.types import Picture


def screened(image, period, angle):
    """The picture printed in round dots on a lattice."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    y, x = np.mgrid[0 : gray.shape[0], 0 : gray.shape[1]]
    turn = 2 * math.pi / period
    cosine, sine = turn * math.cos(math.radians(angle)), turn * math.sin(math.radians(angle))
    lattice = 0.5 + 0.25 * (np.cos(x * cosine + y * sine) + np.cos(y * cosine - x * sine))
    return np.repeat(np.where(gray > 255 * lattice, 255, 0).astype(np.uint8)[..., None], 3, axis=2)


def grainy(image, deviation, seed=0):
    noise = np.random.default_rng(seed).normal(0, deviation, image.shape[:2])
    return np.clip(image + noise[..., None], 0, 255).astype(np.uint8)


def jpeg(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("period", [2, 2.5, 3, 4, 5, 6.3, 8, 10])
@pytest.mark.parametrize("angle", [0, 15, 45, 72])
@pytest.mark.parametrize("quality", [None, 50])
def test_screens_are_found_with_their_period(astronaut, period, angle, quality):
    image = screened(astronaut, period, angle)
    found = texture(image if quality is None else jpeg(image, quality))
    assert found.kind == "screen"
    # Dots two pixels apart beat with the pixels; they are smoothed as far as those of up to four.
    assert found.sigma == pytest.approx(max(1.8, 0.45 * period), rel=0.1)


@pytest.mark.parametrize("side", [70, 100, 130, 250, 500])
def test_screens_of_small_pictures(astronaut, side):
    small = cv2.resize(astronaut[20:240, 120:340], (side, side), interpolation=cv2.INTER_AREA)
    assert texture(screened(small, 4, 30)).kind == "screen"


def test_a_page_with_one_printed_photo_among_white_and_text(astronaut):
    page = np.full((2000, 1500, 3), 255, np.uint8)
    page[300:1324, 200:1224] = screened(cv2.resize(astronaut, (1024, 1024)), 5, 45)
    for row in range(1400, 1900, 40):
        cv2.putText(
            page, "Lorem ipsum dolor sit amet consectetur", (200, row), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2
        )
    assert texture(page).size == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize("deviation", [25, 40, 70])
def test_heavy_grain_is_found(astronaut, deviation):
    found = texture(grainy(astronaut, deviation))
    assert found.kind == "grain"
    assert found.size == pytest.approx(deviation, rel=0.25)


def chequered(side):
    y, x = np.mgrid[0:512, 0:512] // side
    return np.repeat(((x + y) % 2 * 200 + 20).astype(np.uint8)[..., None], 3, axis=2)


def striped(period):
    wave = 128 + 100 * np.sin(2 * np.pi * np.arange(512) / period)
    return np.repeat(np.broadcast_to(wave.astype(np.uint8), (512, 512))[..., None], 3, axis=2)


PLAIN = {
    "a photo": lambda image: image,
    "a part": lambda image: image[30:290, 100:360],
    "JPEG, quality 60": lambda image: jpeg(image, 60),
    "JPEG, quality 10": lambda image: jpeg(image, 10),
    "enlarged in blocks": lambda image: np.kron(image[60:200, 150:290], np.ones((3, 3, 1), np.uint8)),
    "light grain": lambda image: grainy(image, 12),
    "stripes": lambda image: striped(6.5),
    "a chequered floor": lambda image: chequered(24),
    "white": lambda image: np.full_like(image, 255),
    "too small": lambda image: screened(image[:60, :60], 4, 15),
    "a shirt with a pattern": lambda image: np.concatenate([image[:440], screened(image, 5, 10)[440:]]),
}


@pytest.mark.parametrize("change", PLAIN.values(), ids=PLAIN)
def test_other_pictures_stay_as_they_are(astronaut, change):
    picture = Picture.of(np.ascontiguousarray(change(astronaut)))
    assert smoothed(picture) is picture


@pytest.mark.parametrize("period", [2, 4, 8])
def test_what_is_smoothed_is_near_the_photo(astronaut, period):
    printed = screened(astronaut, period, 15)
    out = smoothed(Picture.of(printed))
    gray = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    wanted = cv2.GaussianBlur(gray, (0, 0), 0.45 * period + 1).astype(int)[40:-40, 40:-40]
    # The lattice of cosines prints tones a little steeper than they are.
    assert (
        np.abs(out.pixels[40:-40, 40:-40, 0] - wanted).mean() < 0.3 * np.abs(printed[40:-40, 40:-40, 0] - wanted).mean()
    )
    [note] = out.notes
    assert note.kind == "screen"


def test_the_period_is_given_in_pixels_of_the_photo(astronaut):
    printed = Picture(screened(astronaut, 4, 15), width=1024, height=1024)
    assert smoothed(printed).notes[0].message == "a halftone screen of 8.0 pixels was smoothed"
    assert smoothed(Picture.of(grainy(astronaut, 50))).notes[0].message == "heavy grain was smoothed"
