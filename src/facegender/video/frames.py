"""The frames of a video that are analysed, with the times at which they are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from facegender.errors import InputError
from facegender.faces.types import Image, Picture
from facegender.video.decoding import SAME_TIME, Decoder, Shown

#: Called with the share of a video that is done, in [0, 1].
Progress: TypeAlias = Callable[[float], None]

#: The two rows of a display matrix that turn and mirror, a, c and b, d: where x and y of the stored frame go.
_Matrix: TypeAlias = tuple[int, int, int, int]

DEFAULT_FPS = 2.0

#: FFmpeg's words for "not said" and for the colours of high definition, and from which height those are meant.
_NO_COLOURSPACE, _ITU709, _HIGH_DEFINITION = 2, 1, 720


@dataclass(frozen=True)
class Frame:
    """A sampled frame.

    Attributes:
        time: seconds from the beginning of the video.
        span: seconds until the next sampled frame, or to the end.
        picture: the frame; reduced where faces are large enough all the same.
        small: the frame at the size that the detector wants; often the same object.
    """

    time: float
    span: float
    picture: Picture
    small: Picture


class Video(Decoder):
    """A video opened for reading once from beginning to end; a context manager.

    Args:
        fps: sampled frames a second; None analyses every frame. What is sampled is the frame that is on screen at
            0, 1/fps, 2/fps ... seconds, whatever the frame rate does; each frame once, however long it stays.

    Attributes:
        width, height: in pixels as displayed: rotation and pixel aspect applied.

    Raises:
        VideoReadError: the file is absent, forbidden, not a video, or without a frame that can be decoded.
        InputError: `fps` is not positive.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, path: str | Path, fps: float | None = DEFAULT_FPS) -> None:
        if fps is not None and not (fps > 0 and math.isfinite(fps)):
            raise InputError(f"frames a second must be positive, not {fps}")
        super().__init__(str(path), fps)
        self.width, self.height = self._displayed_size(self.first.frame)
        self._scalers: dict[tuple[int, int], Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ends_early(self) -> bool:
        """Whether, once it is read, much less was there than the file said."""
        return self.duration is not None and self.end < 0.98 * self.duration - 1.0

    def frames(self, scale: float = 1.0, small: float = 1.0) -> Iterator[Frame]:
        """The sampled frames; to be called once.

        Args:
            scale: of `Frame.picture`, in pixels per displayed pixel.
            small: of `Frame.small`; values above 1 are taken as 1.
        """
        before: tuple[float, Picture, Picture] | None = None
        for shown in self._sampled():
            if before is not None:
                yield Frame(before[0], shown.time - before[0], *before[1:])
            picture = self._picture(shown.frame, scale)
            before = shown.time, picture, picture if small >= scale else self._picture(shown.frame, small)
        if before is not None:
            yield Frame(before[0], max(self.end - before[0], 0.0), *before[1:])

    def every(self) -> Iterator[tuple[float, Image]]:
        """Every frame that is decoded: its time, and uint8, H x W x 3, RGB, turned as displayed; to be called once."""
        for shown in self.shown:
            yield shown.time, self._picture(shown.frame, 1.0).pixels

    def _displayed_size(self, frame: Any) -> tuple[int, int]:
        """Width and height on a screen of square pixels."""
        aspect = float(self.stream.sample_aspect_ratio or 1)
        width = max(1, round(frame.width * max(aspect, 1.0)))
        height = max(1, round(frame.height / min(aspect, 1.0)))
        matrix = _display_matrix(frame)
        return (height, width) if matrix is not None and matrix[0] == 0 else (width, height)

    def _sampled(self) -> Iterator[Shown]:
        if self.fps is None:
            yield from self.shown
            return
        # A frame is sampled when a point of the grid lies between it and the next one.
        before: Shown | None = None
        due = 0
        for shown in self.shown:
            if before is not None and due / self.fps < shown.time - SAME_TIME:
                yield before
                due = max(due + 1, math.ceil((shown.time - SAME_TIME) * self.fps))
            before = shown
        if before is not None and due / self.fps < max(self.end, before.time + SAME_TIME):
            yield before

    def _picture(self, frame: Any, scale: float) -> Picture:
        """The frame as displayed, at a scale of at most 1."""
        matrix = _display_matrix(frame)
        turned = matrix is not None and matrix[0] == 0
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        width, height = size[::-1] if turned else size
        if scale >= 1:  # the pixels as they are stored: what is not square is made so later, where it matters
            width, height = frame.width, frame.height
        unsaid = frame.colorspace == _NO_COLOURSPACE and frame.height >= _HIGH_DEFINITION
        scaler = self._scalers.get((width, height))
        if scaler is None:
            from av.video.reformatter import VideoReformatter  # PyAV is an extra

            scaler = self._scalers[width, height] = VideoReformatter()
        rgb: Any = scaler.reformat(
            frame,
            width,
            height,
            "rgb24",
            src_colorspace=_ITU709 if unsaid else None,
            interpolation="AREA",
        )
        pixels: Image = rgb.to_ndarray()
        return Picture(pixels if matrix is None else _oriented(pixels, matrix), self.width, self.height)


def _display_matrix(frame: Any) -> _Matrix | None:
    """How a stored frame is turned and mirrored to be displayed; None where it isn't, or to no multiple of 90 degrees.

    FFmpeg keeps nine 32-bit integers, a, b, u, c, d, v, x, y, w: (p, q) goes to (a p + c q + x, b p + d q + y).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), "=i4", 9).tolist()
    signs: _Matrix = (_sign(a, b, c, d), _sign(c, d, a, b), _sign(b, a, c, d), _sign(d, c, a, b))
    right_angled = sorted(map(abs, signs)) == [0, 0, 1, 1] and bool(signs[0]) == bool(signs[3])
    return signs if right_angled and signs != (1, 0, 0, 1) else None


def _sign(value: int, *others: int) -> int:
    """1 or -1 for an entry that is about as large as the largest, else 0."""
    return 0 if abs(value) * 2 <= max(map(abs, (value, *others))) else (1 if value > 0 else -1)


def _oriented(pixels: Image, matrix: _Matrix) -> Image:
    """The stored pixels as they are displayed: uint8, H x W x 3."""
    a, c, b, d = matrix
    if a == 0:
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[::d, ::a])
