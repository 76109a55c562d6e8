"""The frames of a video that are analysed, with the times at which they are shown."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np

from facegender.errors import (
    InputError,
    NoVideoError,
    VideoReadError,
)
from facegender.faces.types import Image, Picture
from facegender.video.container import open_container
from facegender.video.display import display_matrix, oriented

#: Called with the share of a video that is done, in [0, 1].
Progress: TypeAlias = Callable[[float], None]

DEFAULT_FPS = 2.0

#: Frames that no other frame needs are not decoded where samples are at least this number of frames apart.
_SPARSE = 4
#: Decoding and showing differ in order by at most this number of frames (H.264's and HEVC's limit).
_REORDERED = 16
#: A file is given up after this number of errors without a frame between them.
_ERRORS_IN_A_ROW = 200
#: Frames a second where the file says nothing.
_USUAL_RATE = 25
#: Times are compared to a tenth of a millisecond.
_SAME_TIME = 1e-4
#: A clock that jumps back further than this, in seconds, was reset (joined recordings); one that jumps so far beyond
#: the end is broken. Time continues where it was.
_NEW_CLOCK = 1.0
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


@dataclass(frozen=True)
class _Shown:
    """A decoded frame and its time in seconds."""

    time: float
    frame: Any


class Video:
    """A video opened for reading once from beginning to end; a context manager.

    Args:
        fps: sampled frames a second; None analyses every frame. What is sampled is the frame that is on screen at
            0, 1/fps, 2/fps ... seconds, whatever the frame rate does; each frame once, however long it stays.

    Attributes:
        width, height: in pixels as displayed: rotation and pixel aspect applied.
        duration: seconds, as the file says it; None where it doesn't.
        end: seconds that could be read so far.
        damaged: packets that could not be read so far.

    Raises:
        VideoReadError: the file is absent, forbidden, not a video, or without a frame that can be decoded.
        InputError: `fps` is not positive.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, path: str | Path, fps: float | None = DEFAULT_FPS) -> None:
        if fps is not None and not (fps > 0 and math.isfinite(fps)):
            raise InputError(f"frames a second must be positive, not {fps}")
        self.path, self.fps = str(path), fps
        self._container = open_container(self.path)
        import av

        self._av: Any = av
        try:
            self._stream = self._video_stream()
            self._stream.thread_type = "AUTO"
            self.damaged, self.end = 0, 0.0
            self.duration = self._declared_duration()
            self._origin = self._beginning()
            skip = self._spared()
            if skip == "NONKEY":
                self._stream.codec_context.skip_frame = skip
            self._sparing = skip == "NONREF"
            self._frames = self._decoded()
            self._first = next(self._frames, None)
            if self._first is None:
                raise VideoReadError(f"{self.path} has no frame that can be decoded")
        except BaseException:
            self._container.close()
            raise
        self.width, self.height = self._displayed_size(self._first.frame)
        self._scalers: dict[tuple[int, int], Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._frames.close()
        self._container.close()

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

    @property
    def rate(self) -> Fraction:
        """Frames a second on average, as the file says it; 25 where it doesn't."""
        return Fraction(self._stream.average_rate or _USUAL_RATE)

    def every(self) -> Iterator[tuple[float, Image]]:
        """Every frame that is decoded: its time, and uint8, H x W x 3, RGB, turned as displayed; to be called once."""
        for shown in self._shown():
            yield shown.time, self._picture(shown.frame, 1.0).pixels

    def _video_stream(self) -> Any:
        covers = self._av.stream.Disposition.attached_pic
        streams = [stream for stream in self._container.streams.video if not stream.disposition & covers]
        if not streams:
            raise NoVideoError(f"{self.path} has no pictures, only {self._contents()}")
        readable = [stream for stream in streams if stream.codec_context is not None]
        if not readable:
            raise VideoReadError(f"{self.path} is coded in a way that this FFmpeg cannot decode")
        best = self._container.streams.best("video")
        return best if best in readable else readable[0]

    def _displayed_size(self, frame: Any) -> tuple[int, int]:
        """Width and height on a screen of square pixels."""
        aspect = float(self._stream.sample_aspect_ratio or 1)
        width = max(1, round(frame.width * max(aspect, 1.0)))
        height = max(1, round(frame.height / min(aspect, 1.0)))
        matrix = display_matrix(frame)
        return (height, width) if matrix is not None and matrix[0] == 0 else (width, height)

    def _contents(self) -> str:
        return ", ".join(sorted({stream.type for stream in self._container.streams})) or "an empty container"

    def _declared_duration(self) -> float | None:
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        return None if self._container.duration is None else float(self._container.duration / self._av.time_base)

    def _beginning(self) -> float:
        """The time stamp, in seconds, at which a player begins to count."""
        if self._container.start_time is not None:
            return float(self._container.start_time / self._av.time_base)
        return float((self._stream.start_time or 0) * self._stream.time_base)

    def _spared(self) -> str | None:
        """Which frames the decoder may pass over, in FFmpeg's words; None where it must decode all."""
        if self.fps is None:
            return None
        if _keyframe_gap(self._stream, self._container.duration) <= 1 / self.fps + _SAME_TIME:
            return "NONKEY"
        return "NONREF" if self.rate >= _SPARSE * self.fps else None

    def _shown(self) -> Iterator[_Shown]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def _sampled(self) -> Iterator[_Shown]:
        if self.fps is None:
            yield from self._shown()
            return
        # A frame is sampled when a point of the grid lies between it and the next one.
        before: _Shown | None = None
        due = 0
        for shown in self._shown():
            if before is not None and due / self.fps < shown.time - _SAME_TIME:
                yield before
                due = max(due + 1, math.ceil((shown.time - _SAME_TIME) * self.fps))
            before = shown
        if before is not None and due / self.fps < max(self.end, before.time + _SAME_TIME):
            yield before

    def _decoded(self) -> Generator[_Shown, None, None]:
        """Decode from beginning to end, passing over what is broken; times never fall."""
        base, origin = self._stream.time_base, self._origin
        usual = float(1 / self.rate)
        last, shift = -usual, 0.0
        for frame in self._packets_decoded():
            stamp = frame.pts if frame.pts is not None else frame.dts
            time = last + usual if stamp is None else float(stamp * base) - origin + shift
            beyond = self.duration is not None and time > max(self.duration, last) + _NEW_CLOCK
            if beyond or time < last - _NEW_CLOCK:
                shift += last + usual - time
                time = last + usual
            time = max(time, last, 0.0)
            length = float(frame.duration * base) if frame.duration else usual
            self.end = max(self.end, time + length)
            last = time
            yield _Shown(time, frame)

    def _packets_decoded(self) -> Iterator[Any]:
        failures = 0
        while failures < _ERRORS_IN_A_ROW:
            packets = self._container.demux(self._stream)
            try:
                for packet in self._spare(packets) if self._sparing else packets:
                    self._note_end(packet)
                    try:
                        frames = packet.decode()
                    except self._av.error.EOFError:
                        return
                    except self._av.error.FFmpegError:
                        self.damaged += 1
                        failures += 1
                        continue
                    for frame in frames:
                        if frame.is_corrupt:
                            self.damaged += 1
                            continue
                        failures = 0
                        yield frame
                return
            except self._av.error.EOFError:
                return
            except (self._av.error.FFmpegError, IndexError):
                # The container itself is broken here, or seems to begin a new stream, at which PyAV stumbles; what
                # follows may be sound.
                self.damaged += 1
                failures += 1

    def _spare(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Hand packets on; the decoder passes over what no other frame needs and no point of the grid asks for.

        Packets come in the order of decoding. Which frame follows which on screen is seen from those around it.
        """
        window: deque[Any] = deque()
        near: deque[int] = deque(maxlen=2 * _REORDERED)
        failure: Exception | None = None
        while True:
            try:
                packet = next(packets, None)
            except (self._av.error.FFmpegError, IndexError) as error:
                packet, failure = None, error
            if packet is not None:
                window.append(packet)
                if packet.pts is not None:
                    near.append(packet.pts)
            while window and (packet is None or len(window) > _REORDERED):
                first = window.popleft()
                wanted = first.pts is None or self._asked_for(first.pts, near)
                self._stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
                yield first
            if packet is None:
                break
        if failure is not None:
            raise failure

    def _asked_for(self, stamp: int, near: Iterable[int]) -> bool:
        """Whether a point of the grid lies between a time stamp and the next of those near it."""
        after = min((other for other in near if other > stamp), default=None)
        if after is None or self.fps is None:
            return True
        begin, end = (float(s * self._stream.time_base) - self._origin for s in (stamp, after))
        return math.ceil((begin - _SAME_TIME) * self.fps) / self.fps < end - _SAME_TIME

    def _note_end(self, packet: Any) -> None:
        """Mark how far the file reaches, also where the frames at its end are passed over."""
        if packet.pts is not None and self.duration is not None:
            end = float((packet.pts + (packet.duration or 0)) * self._stream.time_base) - self._origin
            self.end = max(self.end, min(end, self.duration))

    def _picture(self, frame: Any, scale: float) -> Picture:
        """The frame as displayed, at a scale of at most 1."""
        matrix = display_matrix(frame)
        turned = matrix is not None and matrix[0] == 0
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        width, height = size[::-1] if turned else size
        if scale >= 1:  # the pixels as they are stored: what is not square is made so later, where it matters
            width, height = frame.width, frame.height
        unsaid = frame.colorspace == _NO_COLOURSPACE and frame.height >= _HIGH_DEFINITION
        scaler = self._scalers.get((width, height))
        if scaler is None:
            scaler = self._scalers[width, height] = self._av.video.reformatter.VideoReformatter()
        rgb = scaler.reformat(
            frame,
            width,
            height,
            "rgb24",
            src_colorspace=_ITU709 if unsaid else None,
            interpolation="AREA",
        )
        pixels: Image = rgb.to_ndarray()
        return Picture(pixels if matrix is None else oriented(pixels, matrix), self.width, self.height)


def _keyframe_gap(stream: Any, duration: int | None) -> float:
    """The longest time in seconds between key frames, as the container's index has it; infinite where it has none."""
    keys = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
    if not keys or not duration:
        return math.inf
    times = np.array(keys) * float(stream.time_base)
    return float(np.diff(np.append(times, max(duration / 1e6, times[-1]))).max())
