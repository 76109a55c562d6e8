"""Printed and grainy pictures: a halftone screen or heavy grain, found in the spectrum of a few patches and smoothed.

A screen is a lattice of dots: two peaks as high and as far from zero as each other, at right angles. Nothing else in
photos has these and such contrast: textures have one direction or little contrast, and the blocks of JPEG little.
Results on made screens and grain are in results/robustness/prints.csv.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.types import Image, Note, Picture

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rules:
    """The numbers that decide.

    Attributes:
        sides: of the square patches that are examined, in pixels; pictures smaller than the last one are not.
        grid: patches along each side of a picture that is examined closely.
        pixels_per_patch: one patch for this number of pixels, and one more, are examined in each picture.
        longest_period: of screens, in pixels; dots further apart are seen as dots, and no face is found in them.
        amplitude: least of a screen in gray levels. Photos have up to 8, screens from 35.
        above: least height of its peak over the median at its distance from zero. Photos have up to 5, screens from 18.
        partner: least height of its other peak as a share of the first. Screens have 0.9.
        first_harmonic: the peak nearest to zero from this share of the highest on is the screen's own.
        alike: patches have the same screen where their periods differ by less than this share.
        grain: least deviation of heavy grain in gray levels; from there on faces are lost.
        fine: frequency in cycles per pixel from which grain is measured, beyond what photos show much of.
        flat: patches that deviate less, in gray levels, are paper or sky and tell nothing.
        per_period: deviation of the Gaussian that smooths a screen, in its periods.
        least: the least one, in pixels.
        per_level: deviation of the Gaussian for grain, in pixels per gray level of the grain's deviation.
        grain_bounds: its bounds, in pixels.
    """

    sides: tuple[int, ...] = (128, 64)
    grid: int = 3
    pixels_per_patch: int = 200_000
    longest_period: float = 13.0
    amplitude: float = 10.0
    above: float = 10.0
    partner: float = 0.6
    first_harmonic: float = 0.35
    alike: float = 0.15
    grain: float = 16.0
    fine: float = 0.35
    flat: float = 4.0
    per_period: float = 0.45
    least: float = 1.8
    per_level: float = 0.055
    grain_bounds: tuple[float, float] = (1.2, 2.5)


RULES = Rules()


@dataclass(frozen=True, slots=True)
class Texture:
    """What lies over a picture: a screen's period in pixels, or the grain's deviation in gray levels."""

    kind: Literal["screen", "grain"]
    size: float

    @property
    def sigma(self) -> float:
        """Deviation in pixels of the Gaussian that smooths it."""
        if self.kind == "screen":
            return max(RULES.least, RULES.per_period * self.size)
        low, high = RULES.grain_bounds
        return min(max(RULES.per_level * self.size, low), high)


def smoothed(picture: Picture) -> Picture:
    """The picture without its screen or heavy grain, and a note that says so; without either, the picture itself."""
    found = texture(picture.pixels)
    if found is None:
        return picture
    if found.kind == "screen":
        note = Note("screen", f"a halftone screen of {found.size / picture.scale:.1f} pixels was smoothed")
    else:
        note = Note("grain", "heavy grain was smoothed")
    pixels: Image = cv2.GaussianBlur(picture.pixels, (0, 0), found.sigma)
    return replace(picture, pixels=pixels, notes=(*picture.notes, note))


def texture(image: Image) -> Texture | None:
    """The screen or the heavy grain that lies over a picture, uint8, H x W x 3; None where there is neither."""
    height, width = image.shape[:2]
    side = next((side for side in RULES.sides if min(height, width) >= side), None)
    if side is None:
        return None
    window = _window(side)
    count = min(RULES.grid**2, 1 + height * width // RULES.pixels_per_patch)
    places = _places(height, width, side)
    if not any(window.shows(image[top : top + side, left : left + side, 1]) for top, left in places[:count]):
        return None
    return _agreed([window.measured(image[top : top + side, left : left + side, 1]) for top, left in places])


@lru_cache(maxsize=64)
def _places(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """Upper left corners of a grid of patches, the middle one first, then those of the corners."""
    steps = [(k, j) for k in range(RULES.grid) for j in range(RULES.grid)]
    middle = (RULES.grid - 1) / 2
    steps.sort(key=lambda step: (step != (middle, middle), -abs(step[0] - middle) - abs(step[1] - middle)))
    return [
        (round((height - side) * (k + 1) / (RULES.grid + 1)), round((width - side) * (j + 1) / (RULES.grid + 1)))
        for k, j in steps
    ]


@dataclass(frozen=True, slots=True)
class _Measured:
    """Of one patch: the period of its screen in pixels, 0 without, and the deviation of its grain in gray levels."""

    period: float
    grain: float


def _agreed(patches: list[_Measured | None]) -> Texture | None:
    """What several patches have in common; flat ones are None."""
    measured = [patch for patch in patches if patch is not None]
    periods = sorted(patch.period for patch in measured if patch.period)
    if len(periods) >= max(2, len(measured) / 3):
        period = periods[len(periods) // 2]
        alike = sum(abs(other / period - 1) < RULES.alike for other in periods)
        if alike >= max(2, len(measured) / 3):
            return Texture("screen", period)
    grain = sorted(patch.grain for patch in measured)
    if len(grain) >= 2 and grain[len(grain) // 4] >= RULES.grain:
        return Texture("grain", grain[len(grain) // 2])
    return None


class _Window:
    """Spectra of patches of one side, in gray levels: a wave of amplitude A has a peak of A."""

    def __init__(self, side: int) -> None:
        hann = np.hanning(side + 1)[:-1]
        self.side = side
        self.taper: Plane = np.outer(hann, hann).astype(np.float32)
        self.gain = 2 / float(self.taper.sum())
        # White noise of deviation 1 has this mean square in the spectrum.
        self.noise = float((self.taper**2).sum())
        across, down = np.meshgrid(np.fft.rfftfreq(side), np.fft.fftfreq(side))
        self.across, self.down = across, down
        self.distance = np.hypot(across, down)
        self.band = self.distance >= 1 / RULES.longest_period
        self.fine = self.distance >= RULES.fine
        packed = _packed(self.distance, side)
        # OpenCV's spectra have real and imaginary parts side by side: of a peak, one has half of its square.
        self.packed_band = ((packed >= 1 / RULES.longest_period) * self.gain**2 * 2 / RULES.amplitude**2).astype(
            np.float32
        )
        fine = packed >= RULES.fine
        self.packed_fine = (fine * (2 / fine.sum() / self.noise / (0.9 * RULES.grain) ** 2)).astype(np.float32)

    def shows(self, patch: Image) -> bool:
        """Whether a patch, uint8, may have a screen or heavy grain; quick where it has none."""
        square = cv2.dft(patch * self.taper)
        square *= square
        if float((square * self.packed_band).max()) < 1 and float(np.vdot(square, self.packed_fine)) < 1:
            return False
        measured = self.measured(patch)
        return measured is not None and (measured.period > 0 or measured.grain >= RULES.grain)

    def measured(self, patch: Image) -> _Measured | None:
        """What lies over a patch, uint8; None where it is flat."""
        values = patch - patch.mean(dtype=np.float32)
        if float(values.std()) < RULES.flat:
            return None
        spectrum = np.abs(np.fft.rfft2(values * self.taper))
        grain = math.sqrt(float(np.median(spectrum[self.fine] ** 2)) / math.log(2) / self.noise)
        return _Measured(self._period(spectrum * self.gain), grain)

    def _period(self, peaks: npt.NDArray[np.float64]) -> float:
        """The period of a screen in pixels; 0 where there is none."""
        inside = np.where(self.band, peaks, 0)
        rows, columns = np.nonzero(inside >= RULES.first_harmonic * inside.max())
        nearest = int(self.distance[rows, columns].argmin())
        row, column = self._climbed(inside, int(rows[nearest]), int(columns[nearest]))
        height, distance = float(peaks[row, column]), float(self.distance[row, column])
        ring = np.abs(self.distance - distance) < 0.12 * distance + 0.01
        across, down = self.across[row, column], self.down[row, column]
        partner = self._highest_near(peaks, -down, across)
        is_screen = (
            height >= max(RULES.amplitude, RULES.above * float(np.median(peaks[ring])))
            and partner >= RULES.partner * height
        )
        return 1 / distance if is_screen else 0.0

    def _climbed(self, peaks: npt.NDArray[np.float64], row: int, column: int) -> tuple[int, int]:
        """The highest of the places around one."""
        around = [
            ((row + i) % self.side, min(max(column + j, 0), self.side // 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)
        ]
        return max(around, key=lambda place: float(peaks[place]))

    def _highest_near(self, peaks: npt.NDArray[np.float64], across: float, down: float) -> float:
        """The highest peak around a frequency."""
        highest = 0.0
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                row, column = round(down * self.side) + i, round(across * self.side) + j
                column = (column + self.side // 2) % self.side - self.side // 2
                if column < 0:  # the spectrum of real numbers has a half of all frequencies
                    row, column = -row, -column
                highest = max(highest, float(peaks[row % self.side, column]))
        return highest


def _packed(full: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """Values of the half spectrum where `cv2.dft` has the real and imaginary parts of each frequency."""
    packed = np.empty((side, side))
    for column in range(1, side - 1):
        packed[:, column] = full[:, (column + 1) // 2]
    for column, source in ((0, 0), (side - 1, side // 2)):
        packed[:, column] = [full[(row + 1) // 2, source] for row in range(side)]
    return packed


_window = lru_cache(maxsize=len(RULES.sides))(_Window)
