"""The video with boxes and answers drawn into every frame."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from facegender.faces.annotate import annotate
from facegender.faces.pyramid import resized
from facegender.faces.types import Face, FaceResult, PhotoResult
from facegender.files import atomic_file
from facegender.inference.pictures import MARK
from facegender.video.decoding import open_container
from facegender.video.frames import Progress, Video
from facegender.video.tracks import BRIDGED
from facegender.video.types import Sighting, Track, VideoResult

#: What the name of an annotated video ends in.
ANNOTATED_VIDEO_SUFFIX = ".faces.mp4"

#: What frames may be encoded with, best first, and its settings.
_ENCODERS = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qmin": "2", "qmax": "5"}}
#: Of the times in the new file; 25, 30 and 29.97 frames a second are whole numbers of it.
_TIME_BASE = Fraction(1, 30_000)
#: Sound that can be copied into MP4.
_SOUNDS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})
#: FFmpeg's words for the colours of high definition and for video's range of values.
_ITU709, _VIDEO_RANGE = 1, 1


def labels_mark(labels: Iterable[str]) -> str:
    """What the comment of an annotated video says of the labels of its tracks, in their order."""
    return f"labels {hashlib.sha256(','.join(labels).encode()).hexdigest()[:16]}"


def annotate_video(result: VideoResult, path: Path, progress: Progress | None = None) -> tuple[str, ...]:
    """Encode a video again as MP4, every frame with the boxes of its faces and the answers of their tracks.

    Between sampled frames the boxes are interpolated. Frame times stay as they are; rotation is applied. Sound is
    copied where MP4 can hold it.

    Args:
        result: of the video at `result.path`, which is read again.
        path: of the new file; it is whole or not there.
        progress: called with the share that is done, in [0, 1].

    Returns:
        Remarks for people, such as that the sound was left out.

    Raises:
        VideoReadError: the video cannot be read.
        OutputError: the file cannot be written.
        MissingExtraError: PyAV is not installed.
    """
    import av

    with (
        Video(result.path, fps=None) as video,
        atomic_file(path) as temporary,
        av.open(str(temporary), "w", format="mp4") as output,
    ):
        output.metadata["comment"] = f"{MARK}, {labels_mark(track.prediction.label for track in result.tracks)}"
        picture = _pictures(output, video)
        with closing(_Sound(output, result.path)) as sound:
            overlay = _Overlay(result)
            last = -1
            for time, pixels in video.every():
                shown = resized(pixels, video.width, video.height)
                faces = overlay.at(time)
                drawn = annotate(shown, PhotoResult(result.path, faces=faces)) if faces else shown
                frame = av.VideoFrame.from_ndarray(drawn, format="rgb24").reformat(
                    picture.width, picture.height, "yuv420p", dst_colorspace=_ITU709
                )
                # Frames at one time, where the clock was broken, would stop the encoder.
                last = max(round(time / _TIME_BASE), last + 1)
                frame.pts, frame.time_base = last, _TIME_BASE
                output.mux(picture.encode(frame))
                sound.copy(output, time)
                if progress is not None and video.duration:
                    progress(min(1.0, time / video.duration))
            output.mux(picture.encode())
            sound.copy(output, video.end)
        return sound.remarks


def _pictures(output: Any, video: Video) -> Any:
    """A stream for the frames."""
    import av

    name = next(name for name in _ENCODERS if name in av.codecs_available)
    stream = output.add_stream(name, rate=video.rate, options=_ENCODERS[name])
    stream.width, stream.height = (max(2, side // 2 * 2) for side in (video.width, video.height))  # halved colours
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _TIME_BASE
    stream.codec_context.colorspace, stream.codec_context.color_range = _ITU709, _VIDEO_RANGE
    return stream


class _Sound:
    """The sound of a file, copied as it is.

    Attributes:
        remarks: what had to be left out.
    """

    def __init__(self, output: Any, path: str) -> None:
        self._container = open_container(path)
        self._targets: dict[int, Any] = {}
        left_out = set()
        for stream in self._container.streams.audio:
            name = "unknown" if stream.codec_context is None else stream.codec_context.codec.canonical_name
            if name in _SOUNDS:
                self._targets[stream.index] = output.add_stream_from_template(stream)
            else:
                left_out.add(name)
        self.remarks = tuple(f"its sound ({name}) cannot be copied into MP4" for name in sorted(left_out))
        self._packets = self._demuxed()
        self._waiting: deque[Any] = deque()

    def copy(self, output: Any, until: float) -> None:
        """Copy what is heard up to a time in seconds."""
        while not self._waiting or self._waiting[-1].dts * self._waiting[-1].time_base <= until:
            if (packet := next(self._packets, None)) is None:
                break
            self._waiting.append(packet)
        while self._waiting and self._waiting[0].dts * self._waiting[0].time_base <= until:
            packet = self._waiting.popleft()
            output.mux(packet)

    def close(self) -> None:
        """Close the file that is read."""
        self._packets.close()
        self._container.close()

    def _demuxed(self) -> Generator[Any, None, None]:
        import av

        if not self._targets:
            return
        start = Fraction(self._container.start_time or 0, av.time_base)
        last: dict[int, int] = {}
        try:
            for packet in self._container.demux([self._container.streams[index] for index in self._targets]):
                if packet.dts is None or packet.pts is None:
                    continue
                index, shift = packet.stream.index, round(start / packet.time_base)
                packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
                if packet.dts > last.get(index, -1):  # what a broken clock says twice is heard once
                    last[index] = packet.dts
                    packet.stream = self._targets[index]
                    yield packet
        except av.error.FFmpegError:  # what is broken ends the sound, not the picture
            return


class _Overlay:
    """The faces to draw at times that never fall."""

    def __init__(self, result: VideoResult) -> None:
        self._coming = deque(sorted(result.tracks, key=lambda track: track.begin))
        self._here: list[tuple[Track, deque[Sighting]]] = []

    def at(self, time: float) -> tuple[FaceResult, ...]:
        """Faces with their tracks' answers, largest first."""
        while self._coming and self._coming[0].begin <= time:
            track = self._coming.popleft()
            self._here.append((track, deque(track.sightings)))
        self._here = [(track, rest) for track, rest in self._here if track.end > time]
        faces = []
        for track, rest in self._here:
            while len(rest) > 1 and rest[1].time <= time:
                rest.popleft()
            face = _between(rest[0], rest[1] if len(rest) > 1 else None, time)
            if face is not None:
                faces.append(FaceResult(face, track.prediction))
        return tuple(sorted(faces, key=lambda found: found.face.box[2] * found.face.box[3], reverse=True))


def _between(before: Sighting, after: Sighting | None, time: float) -> Face | None:
    """The face at a time between two sightings; None in a longer gap."""
    held = time < before.time + before.span
    if after is None or after.time - before.time > before.span + BRIDGED:
        return before.face if held else None
    share = (time - before.time) / (after.time - before.time)
    x, y, width, height = (_mixed(a, b, share) for a, b in zip(before.face.box, after.face.box, strict=True))
    places = zip(before.face.landmarks, after.face.landmarks, strict=True)
    one, two, three, four, five = ((_mixed(a[0], b[0], share), _mixed(a[1], b[1], share)) for a, b in places)
    return replace(before.face, box=(x, y, width, height), landmarks=(one, two, three, four, five))


def _mixed(before: float, after: float, share: float) -> float:
    return before + share * (after - before)
