"""From a film to tracks: frames are decoded in order while faces are found and classified on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, Unpack

import numpy as np

from facegender.errors import InputError, VideoReadError
from facegender.faces.align import crop_faces
from facegender.faces.types import PhotoError
from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import LARGEST_SCALE, FaceDetector, OnnxDetector
from facegender.inference.options import Options, OptionValues
from facegender.inference.workers import chunks_of
from facegender.machine import usable_cores
from facegender.prefetch import ahead
from facegender.video.answer import combined
from facegender.video.frames import DEFAULT_FPS, Frame, Progress, Video
from facegender.video.tracks import Detection, Histogram, Tracker, appearances, histogram, suppress_overlaps
from facegender.video.types import Track, VideoResult
from facegender.wording import counted

#: Frames are shrunk, unless a smallest face is asked for, to this many pixels on their longest side before faces are
#: looked for: less than photos are, since a face that is missed in one frame is found in another.
LONGEST_SIDE = 720

#: Frames that are analysed together.
CHUNK = 2
#: Chunks under way for each worker: enough that none waits, few enough that memory stays flat.
_AHEAD = 2
#: Crops are cut from frames larger by this factor than those in which faces are detected.
_FOR_CROPS = 2.0
#: Frames keep their size unless half of it or less is enough: shrinking takes longer than what it saves.
_WORTH_SHRINKING = 0.5

#: The time and the span of a frame that was analysed, its faces and its colours.
_AnalyzedFrame: TypeAlias = tuple[float, float, list[Detection], Histogram]


class VideoAnalyzer:
    """Follows the faces of videos and estimates how each is likely to be perceived.

    Args:
        model, detector: as for `Options`.
        fps: sampled frames a second; None analyses every frame.
        workers: threads that look for faces; None takes as many as there are cores.
        options: all options as one object, in place of the others. `max_error` and `min_confidence` hold for the
            answers to tracks.

    Raises:
        WeightsError, InputError: as for `facegender.inference.pipeline.FaceAnalyzer`; or `threads` is given, since
            each worker has one.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        detector: FaceDetector | str | Path | None = None,
        *,
        fps: float | None = DEFAULT_FPS,
        workers: int | None = None,
        options: Options | None = None,
        **values: Unpack[OptionValues],
    ) -> None:
        options = Options.of(options, model, detector, **values)
        if workers is not None and workers < 1:
            raise InputError(f"at least 1 worker is needed, not {workers}")
        if options.threads is not None:
            raise InputError("videos are analysed by workers of one thread each", remedy="give workers, not threads")
        options = replace(options, threads=1)
        if isinstance(options.detector, str | Path | None):
            options = replace(options, orientations="upright")
        self.classifier = GenderClassifier.of(options)
        self.fps, self._max_pixels = fps, options.max_pixels
        self._detector = options.open_detector()
        # The package's own detector has a frame size of its own, where no smallest face is given.
        usual = options.detector is None and options.min_face is None
        self._usual = self._detector if usual and isinstance(self._detector, OnnxDetector) else None
        # Of OpenCV's and others' it is not known whether two threads may use them at once.
        shared = isinstance(self._detector, OnnxDetector)
        self.workers = (usable_cores() if workers is None else workers) if shared else 1

    def analyze(self, path: str | Path, progress: Progress | None = None) -> VideoResult:
        """Analyse one video. One that cannot be read gives a result with an error.

        Args:
            progress: called with the share that is done, as far as the length is known.

        Raises:
            MissingExtraError: PyAV is not installed.
        """
        try:
            with Video(path, self.fps) as video:
                return self._analyze(video, progress)
        except VideoReadError as error:
            return VideoResult(str(path), error=PhotoError(error.kind, str(error)))

    def _analyze(self, video: Video, progress: Progress | None) -> VideoResult:
        pixels = video.width * video.height
        if pixels > self._max_pixels:
            message = f"{video.path} has frames of {pixels} pixels, above the limit of {self._max_pixels}"
            return VideoResult(video.path, error=PhotoError("pixel_limit", message))
        scale = self._scale_for(video)
        small = min(1.0, scale or self._detector.scale(video.width, video.height))
        crop_scale = _FOR_CROPS * small
        frames = video.frames(crop_scale if crop_scale <= _WORTH_SHRINKING else 1.0, small)
        tracker, count = Tracker(), 0
        for analyzed in self._analyzed(frames, scale):
            tracker.add(*analyzed)
            count += 1
            if progress is not None and video.duration:
                progress(min(1.0, analyzed[0] / video.duration))
        tracks = []
        for number, sightings in enumerate(tracker.finish()):
            p_male = combined([s.p_male for s in sightings], [s.face.quality for s in sightings])
            quality = max(sighting.face.quality for sighting in sightings)
            tracks.append(Track(number, sightings, self.classifier.prediction(p_male).for_quality(quality)))
        return VideoResult(
            video.path,
            video.width,
            video.height,
            video.end,
            tuple(tracks),
            frames=count,
            dropped=tracker.dropped,
            remarks=_remarks(video),
        )

    def _scale_for(self, video: Video) -> float | None:
        """The scale at which its frames are searched, in pixels per pixel as displayed; None: as the detector says."""
        if self._usual is None:
            return None
        face = round(self._usual.reliable * max(video.width, video.height) / LONGEST_SIDE)
        return min(self._usual.reliable / max(face, 1), LARGEST_SCALE)

    def _analyzed(self, frames: Iterator[Frame], scale: float | None) -> Iterator[_AnalyzedFrame]:
        """The frames in order, analysed by all workers; this thread decodes."""
        chunks = chunks_of(CHUNK, frames)
        waiting = _AHEAD * self.workers
        with closing(
            ahead(lambda chunk: self._analyze_chunk(chunk, scale), chunks, threads=self.workers, waiting=waiting)
        ) as found:
            for analyzed in found:
                yield from analyzed

    def _analyze_chunk(self, frames: Sequence[Frame], scale: float | None) -> list[_AnalyzedFrame]:
        small = [frame.small for frame in frames]
        every = self._detector.detect(small) if self._usual is None else self._usual.detect(small, scale)
        found = [suppress_overlaps(faces) for faces in every]
        template = self.classifier.card.template
        crops = [crop_faces(frame.picture, faces, template) for frame, faces in zip(frames, found, strict=True)]
        answers = iter(self.classifier.p_male(np.concatenate(crops)).tolist())
        analyzed: list[_AnalyzedFrame] = []
        for frame, faces, cut in zip(frames, found, crops, strict=True):
            detections = [
                Detection(face, next(answers), appearance)
                for face, appearance in zip(faces, appearances(cut), strict=True)
            ]
            analyzed.append((frame.time, frame.span, detections, histogram(frame.small.pixels)))
        return analyzed


def _remarks(video: Video) -> tuple[str, ...]:
    remarks = []
    if video.damaged:
        remarks.append(f"{counted(video.damaged, 'packet')} could not be decoded and were passed over")
    if video.ends_early and video.duration is not None:
        remarks.append(f"ends after {video.end:.1f} of {video.duration:.1f} s")
    return tuple(remarks)
