"""What is found in one video."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from facegender.faces.display import html_table, require_pandas
from facegender.faces.types import Face, Label, PhotoError, Prediction
from facegender.formats.records import TRACKS
from facegender.wording import counted

#: Columns of the table in notebooks.
_SHOWN = ("track", "begin", "end", "seconds", "faces", "quality", "p_male", "label")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one sampled frame.

    Attributes:
        time: seconds from the beginning of the video to the frame.
        span: seconds until the next sampled frame; so long the sighting stands for the face.
        face: in pixels of the video as it is displayed.
        p_male: the classifier's answer to this one crop.
    """

    time: float
    span: float
    face: Face
    p_male: float


@dataclass(frozen=True, slots=True)
class Track:
    """One face as it was followed through a scene.

    Attributes:
        number: counts the tracks of a video from 0, in the order in which they begin.
        sightings: in the order of time; never empty.
        prediction: one answer for the whole track (`facegender.video.answer`).
    """

    number: int
    sightings: tuple[Sighting, ...]
    prediction: Prediction

    @property
    def begin(self) -> float:
        """Seconds at the first sighting."""
        return self.sightings[0].time

    @property
    def end(self) -> float:
        """Seconds at which the last sighting ceases to stand for the face."""
        return self.sightings[-1].time + self.sightings[-1].span

    @property
    def seconds(self) -> float:
        """On screen: what the sightings stand for, without the gaps that were bridged."""
        return sum(sighting.span for sighting in self.sightings)

    @property
    def quality(self) -> float:
        """Mean of the faces' qualities, in [0, 1]."""
        return sum(sighting.face.quality for sighting in self.sightings) / len(self.sightings)

    def to_dict(self) -> dict[str, Any]:
        """The record of a track within that of its video."""
        return {
            "track": self.number,
            "begin": round(self.begin, 3),
            "end": round(self.end, 3),
            "seconds": round(self.seconds, 3),
            "faces": len(self.sightings),
            "quality": round(self.quality, 4),
            "p_male": round(self.prediction.p_male, 4),
            "label": self.prediction.label,
        }


@dataclass(frozen=True, slots=True)
class VideoResult:
    """What was found in one video: tracks, or an error.

    Attributes:
        path: as given by the caller.
        width, height: in pixels as displayed, rotation and pixel aspect applied; None where it could not be read.
        duration: seconds of what could be read.
        tracks: in the order in which they begin.
        frames: how many were analysed.
        dropped: single doubtful sightings that were taken for mistakes of the detector and left out.
        remarks: for people: broken packets, an early end.
        error: None where the video was read.
    """

    path: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    tracks: tuple[Track, ...] = ()
    frames: int = 0
    dropped: int = 0
    remarks: tuple[str, ...] = ()
    error: PhotoError | None = None

    def __repr__(self) -> str:
        if self.error is not None:
            return f"VideoResult({self.path!r}, {self.error.kind}: {self.error.message})"
        count = counted(len(self.tracks), "track")
        seconds = ", ".join(f"{label} {time:.1f} s" for label, time in self.seconds().items() if time)
        size = f"{self.width}x{self.height}, {self.duration or 0:.1f} s"
        return f"VideoResult({self.path!r}, {size}, {count}{': ' * bool(seconds)}{seconds})"

    def to_frame(self) -> Any:
        """A pandas DataFrame with the columns of a CSV file, one row a track, or one row for a video without tracks.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return require_pandas().DataFrame(list(TRACKS.rows(self.to_dict())), columns=list(TRACKS.columns))

    def _repr_html_(self) -> str:
        """For notebooks: a table of the tracks."""
        table = html_table(_SHOWN, [track.to_dict() for track in self.tracks])
        return f"<p>{html.escape(repr(self))}</p>{table}"

    def seconds(self) -> dict[Label, float]:
        """Seconds on screen by answer; two faces at one time count twice."""
        seconds: dict[Label, float] = {"female": 0.0, "male": 0.0, "uncertain": 0.0}
        for track in self.tracks:
            seconds[track.prediction.label] += track.seconds
        return seconds

    def to_dict(self) -> dict[str, Any]:
        """The record that the JSON Lines writer prints, one object a video."""
        return {
            "path": self.path,
            "width": self.width,
            "height": self.height,
            "duration": None if self.duration is None else round(self.duration, 3),
            "tracks": [track.to_dict() for track in self.tracks],
            "error": None if self.error is None else {"kind": self.error.kind, "message": self.error.message},
        }

    def timeline(self) -> dict[str, Any]:
        """The record of all sightings in the order of time, with times in seconds."""
        every = ((sighting, track.number) for track in self.tracks for sighting in track.sightings)
        return {
            "path": self.path,
            "sightings": [
                {
                    "time": round(sighting.time, 3),
                    "span": round(sighting.span, 3),
                    "track": number,
                    "box": [round(value, 1) for value in sighting.face.box],
                    "score": round(sighting.face.score, 4),
                    "quality": round(sighting.face.quality, 4),
                    "p_male": round(sighting.p_male, 4),
                }
                for sighting, number in sorted(every, key=lambda pair: (pair[0].time, pair[1]))
            ],
            "error": self.to_dict()["error"],
        }
