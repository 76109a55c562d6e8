"""A video file decoded from beginning to end, whatever is broken in it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np

from facegender.errors import (
    NotAVideoError,
    NoVideoError,
    VideoNotFoundError,
    VideoPermissionError,
    VideoReadError,
    needs,
)

#: Containers in FFmpeg's words. Not its playlists: those open other files and addresses.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,live_flv,ogg,gif"
#: Frames that no other frame needs are not decoded where samples are at least this number of frames apart.
_SPARSE = 4
#: Decoding and showing differ in order by at most this number of frames (H.264's and HEVC's limit).
_REORDERED = 16
#: A file is given up after this number of errors without a frame between them.
_ERRORS_IN_A_ROW = 200
#: Frames a second where the file says nothing.
_USUAL_RATE = 25
#: Times are compared to a tenth of a millisecond.
SAME_TIME = 1e-4
#: A clock that jumps back further than this, in seconds, was reset (joined recordings); one that jumps so far beyond
#: the end is broken. Time continues where it was.
_NEW_CLOCK = 1.0


def open_container(path: str) -> Any:
    """PyAV's container of a file.

    Raises:
        VideoReadError: the file is absent, forbidden or of no known format.
        MissingExtraError: PyAV is not installed.
    """
    with needs("av", "video"):
        import av
    try:
        # As a plain file: "http:", "concat:" and their like are names, not instructions.
        return av.open(f"file:{path}", options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"})
    except (FileNotFoundError, IsADirectoryError) as error:
        raise VideoNotFoundError(f"{path} is no file") from error
    except PermissionError as error:
        raise VideoPermissionError(f"{path} may not be read") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise NotAVideoError(f"{path} is no video of a known format, or cut short before it begins") from error


@dataclass(frozen=True)
class Shown:
    """A decoded frame and its time in seconds."""

    time: float
    frame: Any


class Decoder:
    """A video file, to be decoded once from beginning to end.

    Args:
        fps: a frame is asked for at every multiple of 1/fps seconds; the decoder may skip others. None asks for all.

    Attributes:
        stream: PyAV's stream of the pictures.
        first: the first frame.
        shown: the frames in the order in which they are shown, to be taken once.
        duration: seconds, as the file says it; None where it doesn't.
        end: seconds that could be read so far.
        damaged: packets that could not be read so far.

    Raises:
        VideoReadError: the file is absent, forbidden, not a video, or without a frame that can be decoded.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, path: str, fps: float | None) -> None:
        self.path, self.fps = path, fps
        self._container = open_container(path)
        import av

        self._av: Any = av
        try:
            self.stream = self._video_stream()
            self.stream.thread_type = "AUTO"
            self.damaged, self.end = 0, 0.0
            self.duration = self._declared_duration()
            self._origin = self._beginning()
            skip = self._spared()
            if skip == "NONKEY":
                self.stream.codec_context.skip_frame = skip
            self._sparing = skip == "NONREF"
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise VideoReadError(f"{path} has no frame that can be decoded")
            self.first, self.shown = first, chain((first,), self._frames)
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        self._frames.close()
        self._container.close()

    @property
    def rate(self) -> Fraction:
        """Frames a second on average, as the file says it; 25 where it doesn't."""
        return Fraction(self.stream.average_rate or _USUAL_RATE)

    def _video_stream(self) -> Any:
        covers = self._av.stream.Disposition.attached_pic
        streams = [stream for stream in self._container.streams.video if not stream.disposition & covers]
        if not streams:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "an empty container"
            raise NoVideoError(f"{self.path} has no pictures, only {kinds}")
        readable = [stream for stream in streams if stream.codec_context is not None]
        if not readable:
            raise VideoReadError(f"{self.path} is coded in a way that this FFmpeg cannot decode")
        best = self._container.streams.best("video")
        return best if best in readable else readable[0]

    def _declared_duration(self) -> float | None:
        if self.stream.duration is not None:
            return float(self.stream.duration * self.stream.time_base)
        return None if self._container.duration is None else float(self._container.duration / self._av.time_base)

    def _beginning(self) -> float:
        """The time stamp, in seconds, at which a player begins to count."""
        if self._container.start_time is not None:
            return float(self._container.start_time / self._av.time_base)
        return float((self.stream.start_time or 0) * self.stream.time_base)

    def _spared(self) -> str | None:
        """Which frames the decoder may pass over, in FFmpeg's words; None where it must decode all."""
        if self.fps is None:
            return None
        if _keyframe_gap(self.stream, self._container.duration) <= 1 / self.fps + SAME_TIME:
            return "NONKEY"
        return "NONREF" if self.rate >= _SPARSE * self.fps else None

    def _decoded(self) -> Generator[Shown, None, None]:
        """Decode from beginning to end, passing over what is broken; times never fall."""
        base, origin = self.stream.time_base, self._origin
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
            yield Shown(time, frame)

    def _packets_decoded(self) -> Iterator[Any]:
        failures = 0
        while failures < _ERRORS_IN_A_ROW:
            packets = self._container.demux(self.stream)
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
                self.stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
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
        begin, end = (float(s * self.stream.time_base) - self._origin for s in (stamp, after))
        return math.ceil((begin - SAME_TIME) * self.fps) / self.fps < end - SAME_TIME

    def _note_end(self, packet: Any) -> None:
        """Mark how far the file reaches, also where the frames at its end are passed over."""
        if packet.pts is not None and self.duration is not None:
            end = float((packet.pts + (packet.duration or 0)) * self.stream.time_base) - self._origin
            self.end = max(self.end, min(end, self.duration))


def _keyframe_gap(stream: Any, duration: int | None) -> float:
    """The longest time in seconds between key frames, as the container's index has it; infinite where it has none."""
    keys = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
    if not keys or not duration:
        return math.inf
    times = np.array(keys) * float(stream.time_base)
    return float(np.diff(np.append(times, max(duration / 1e6, times[-1]))).max())
