"""Which face in one sampled frame is which in the next, by its place and its look; and where one shot ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facegender.faces.anchors import overlaps
from facegender.faces.pose import Point
from facegender.faces.types import CROP_SIZE, Crops, Face, Image
from facegender.video.types import Sighting

#: float32, 192: how an aligned face looks; of two, the root mean square difference is compared.
Appearance: TypeAlias = npt.NDArray[np.float32]
#: float32, 512: shares of the pixels, adding up to 1.
Histogram: TypeAlias = npt.NDArray[np.float32]

#: A face that is lost for up to this number of seconds between two sampled frames is still the same track.
BRIDGED = 1.0

#: How far two appearances of a face may differ. Among crops of LFW 99 % of the pairs of one photo, the second a bit
#: turned, moved, relit and blurred, lie below 0.09 and 99 % of those of two people above it; heads in films turn more.
_SAME_APPEARANCE = 0.16
#: The same where the boxes overlap at least so much that it can hardly be another face.
_SAME_PLACE, _APPEARANCE_IN_PLACE = 0.4, 0.25
#: How far from where it is expected a face may be, in its own sides: at once, and more with every second (up to one).
_REACH, _REACH_A_SECOND = 0.6, 1.5
#: How much larger or smaller it may have become.
_GROWTH = 2.0
#: Share of the newest appearance in that of a track.
_NEWEST = 0.4
#: From this share of the smaller of two boxes on, both cannot be faces.
_WITHIN = 0.8
#: A detection below this score, alone in a scene of frames that show nothing there, is a mistake more often than not.
_DOUBTFUL = 0.8
_SCENE_FRAMES = 3

_APPEARANCE_SIDE = 8

#: Frames are compared in this width and height: enough for a histogram, and noise averages out.
_WIDTH, _HEIGHT = 64, 36
#: Bins of hue, saturation and value.
_BINS = (8, 8, 8)
#: Two frames of which less than this share of pixels is alike belong to two shots. Of pairs of different LFW photos
#: 99.8 % are less alike; a pan over a quarter of a photo leaves 0.67 and more, real films without cuts 0.71 and more.
CUT = 0.6


def histogram(image: Image) -> Histogram:
    """The colours of an image, in hue, saturation and value.

    Args:
        image: uint8, H x W x 3, RGB.
    """
    # Sampled first where the image is large: averaging all of it takes longer than it gains.
    step = max(1, min(image.shape[0] // (2 * _HEIGHT), image.shape[1] // (2 * _WIDTH)))
    tiny = cv2.resize(np.ascontiguousarray(image[::step, ::step]), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(tiny, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    shares: Histogram = counts.ravel() / (_WIDTH * _HEIGHT)
    return shares


def is_cut(one: Histogram, other: Histogram) -> bool:
    """Whether two sampled frames, one after the other, belong to two shots.

    Their histograms' intersection: M. J. Swain, D. H. Ballard, "Color Indexing", IJCV 7(1), 1991.
    """
    return float(np.minimum(one, other).sum()) < CUT


@dataclass(frozen=True)
class Detection:
    """One face of one sampled frame, ready to be followed."""

    face: Face
    p_male: float
    appearance: Appearance


def appearances(crops: Crops) -> list[Appearance]:
    """How aligned faces look: 8 x 8 pixels in L*a*b*, the lightness without its mean and with half its weight.

    Args:
        crops: uint8, N x 64 x 64 x 3, RGB.
    """
    block = CROP_SIZE // _APPEARANCE_SIDE
    tiny = crops.reshape(-1, _APPEARANCE_SIDE, block, _APPEARANCE_SIDE, block, 3).mean((2, 4), dtype=np.float32) / 255
    if not len(tiny):
        return []
    lab = cv2.cvtColor(tiny.reshape(-1, _APPEARANCE_SIDE, 3), cv2.COLOR_RGB2LAB).reshape(len(tiny), -1, 3) / 100
    lab[..., 0] = (lab[..., 0] - lab[..., 0].mean(1, keepdims=True)) * 0.5
    lab[..., 1:] *= 1.5
    return list(lab.reshape(len(tiny), -1))


def suppress_overlaps(faces: Sequence[Face]) -> list[Face]:
    """The faces without those that lie within another, or about another, that is surer: one would hide the other."""
    unique: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if all(_shared(face, other) < _WITHIN for other in unique):
            unique.append(face)
    return sorted(unique, key=_side, reverse=True)


def _shared(one: Face, other: Face) -> float:
    """Share of the smaller box that the larger one covers."""
    (x, y, width, height), (left, top, across, down) = one.box, other.box
    common_x = min(x + width, left + across) - max(x, left)
    common_y = min(y + height, top + down) - max(y, top)
    return max(common_x, 0.0) * max(common_y, 0.0) / min(width * height, across * down)


@dataclass
class _OpenTrack:
    """A track that is being made."""

    sightings: list[Sighting]
    appearance: Appearance
    velocity: Point = (0.0, 0.0)

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]

    def expected(self, time: float) -> Point:
        """Where the middle of the face should be, if it moves on as it did."""
        x, y = _middle(self.last.face)
        ahead = min(time - self.last.time, BRIDGED)
        return x + self.velocity[0] * ahead, y + self.velocity[1] * ahead

    def similarity(self, detection: Detection, time: float) -> float | None:
        """How well a face continues this track, in [0, 2]; None where it can't."""
        face, last = detection.face, self.last.face
        sides = _side(last), _side(face)
        if max(sides) > _GROWTH * min(sides):
            return None
        expected, middle = self.expected(time), _middle(face)
        away = math.dist(expected, middle) / (sum(sides) / 2)
        reach = _REACH + _REACH_A_SECOND * min(time - self.last.time, BRIDGED)
        box = np.array([expected[0] - last.box[2] / 2, expected[1] - last.box[3] / 2, *last.box[2:]], np.float32)
        in_place = float(overlaps(box, np.array([face.box], np.float32))[0]) >= _SAME_PLACE
        limit = _APPEARANCE_IN_PLACE if in_place else _SAME_APPEARANCE
        difference = float(np.sqrt(np.mean((self.appearance - detection.appearance) ** 2)))
        if away > reach or difference > limit:
            return None
        return (1 - away / reach) + (1 - difference / limit)

    def extend(self, detection: Detection, time: float, span: float) -> None:
        (x, y), (last_x, last_y), passed = _middle(detection.face), _middle(self.last.face), time - self.last.time
        if passed > 0:
            speed = (x - last_x) / passed, (y - last_y) / passed
            known = len(self.sightings) > 1  # half of what it was: one box jitters
            self.velocity = ((speed[0] + self.velocity[0]) / 2, (speed[1] + self.velocity[1]) / 2) if known else speed
        self.appearance = (1 - _NEWEST) * self.appearance + _NEWEST * detection.appearance
        self.sightings.append(Sighting(time, span, detection.face, detection.p_male))


@dataclass
class Tracker:
    """Follows faces through one video, frame by frame.

    Attributes:
        done: finished tracks' sightings.
        dropped: single doubtful sightings left out.
    """

    done: list[list[Sighting]] = field(default_factory=list)
    dropped: int = 0
    _open: list[_OpenTrack] = field(default_factory=list)
    _scene: list[_OpenTrack] = field(default_factory=list)
    _scene_frames: int = 0
    _colours: Histogram | None = None

    def add(self, time: float, span: float, faces: Sequence[Detection], colours: Histogram) -> None:
        """Take the faces of the next sampled frame, shown at `time` for `span` seconds; all tracks end at a cut."""
        if self._colours is not None and is_cut(self._colours, colours):
            self._end_scene()
        self._colours = colours
        self._scene_frames += 1
        self._open = [track for track in self._open if time - track.last.time - track.last.span <= BRIDGED + 1e-6]
        pairs = []
        for i, track in enumerate(self._open):
            for j, detection in enumerate(faces):
                similarity = track.similarity(detection, time)
                if similarity is not None:
                    pairs.append((similarity, i, j))
        # The surest pair first; a face belongs to one track and a track continues with one face.
        tracks_taken: set[int] = set()
        faces_taken: set[int] = set()
        for _, i, j in sorted(pairs, reverse=True):
            if i not in tracks_taken and j not in faces_taken:
                tracks_taken.add(i)
                faces_taken.add(j)
                self._open[i].extend(faces[j], time, span)
        for j, detection in enumerate(faces):
            if j not in faces_taken:
                track = _OpenTrack([Sighting(time, span, detection.face, detection.p_male)], detection.appearance)
                self._open.append(track)
                self._scene.append(track)

    def finish(self) -> list[tuple[Sighting, ...]]:
        """All tracks, in the order in which they begin."""
        self._end_scene()
        return [tuple(sightings) for sightings in sorted(self.done, key=lambda sightings: sightings[0].time)]

    def _end_scene(self) -> None:
        for track in self._scene:
            doubtful = len(track.sightings) == 1 and track.last.face.score < _DOUBTFUL
            if doubtful and self._scene_frames >= _SCENE_FRAMES and track.last.span <= BRIDGED:
                self.dropped += 1
            else:
                self.done.append(track.sightings)
        self._open, self._scene, self._scene_frames = [], [], 0


def _middle(face: Face) -> Point:
    x, y, width, height = face.box
    return x + width / 2, y + height / 2


def _side(face: Face) -> float:
    return math.sqrt(face.box[2] * face.box[3])
