"""Answers as subtitles that lie over the video and leave it as it is: ASS with boxes, WebVTT for browsers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from facegender.faces.annotate import COLOURS
from facegender.faces.types import Prediction
from facegender.files import atomic_file, write_text
from facegender.video.types import Sighting, Track, VideoResult

#: Begin and end in seconds, the sighting, its track, and the next sighting where it follows at once.
_Cue: TypeAlias = tuple[float, float, Sighting, Track, Sighting | None]

#: Sightings are joined where no more than this number of seconds lies between them.
_AT_ONCE = 0.01

#: A comment in the head of each file, which also tells a file that a run made.
REMARK = "The answers say how faces are likely to be perceived, not who the people are."

_ASS_HEAD = """\
[Script Info]
; {remark}
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
ScaledBorderAndShadow: yes
WrapStyle: 2

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
"""
_ASS_STYLE = (
    "Style: {name},Sans,{size},&H00{colour},&H00{colour},&H{edge},&H00000000,0,0,0,0,100,100,0,0,1,{line},0,{place},"
    "0,0,0,1\n"
)
_ASS_EVENTS = """
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""

#: The cue of a track, in either format.
_ASS_CUE = re.compile(
    rb"^(?P<head>Dialogue: \d+,[^,]*,[^,]*,)\w+(?P<box>-box)?"
    rb"(?P<way>,.*\{track (?P<track>\d+)\}.*\})(?P<text>[^}\r\n]*)",
    re.MULTILINE,
)
_VTT_CUE = re.compile(
    rb"^(?P<head>track (?P<track>\d+)\r?\n[^\r\n]* --> [^\r\n]*\r?\n)<c\.\w+>[^<\r\n]*</c>", re.MULTILINE
)


def save_ass(result: VideoResult, path: Path) -> None:
    """Write Advanced SubStation Alpha subtitles: a box that moves with each face, and the track's answer above it.

    Raises:
        OutputError: the file cannot be written.
    """
    width, height = result.width or 0, result.height or 0
    line, size = max(1, round(max(width, height) / 400)), max(10, round(max(width, height) / 45))
    lines = [_ASS_HEAD.format(remark=REMARK, width=width, height=height)]
    for label, colour in COLOURS.items():
        bgr = colour[5:7] + colour[3:5] + colour[1:3]
        # Letters in the answer's colour with a black edge; of boxes the edge is all that is seen.
        lines.append(_ASS_STYLE.format(name=label, size=size, colour=bgr, edge="00000000", line=line, place=1))
        lines.append(_ASS_STYLE.format(name=f"{label}-box", size=size, colour=bgr, edge=f"00{bgr}", line=line, place=7))
    lines.append(_ASS_EVENTS)
    for begin, end, sighting, track, after in _cues(result):
        x, y, w, h = (round(value) for value in sighting.face.box)
        times = f"{_ass_time(begin)},{_ass_time(end)}"
        label = track.prediction.label
        to = (x, y) if after is None else (round(after.face.box[0]), round(after.face.box[1]))
        number = f"{{track {track.number}}}"  # not shown
        drawing = f"{number}{{\\1a&HFF&\\p1{_moved((x, y), to)}}}m 0 0 l {w} 0 {w} {h} 0 {h}{{\\p0}}"
        lines.append(f"Dialogue: 0,{times},{label}-box,,0,0,0,,{drawing}\n")
        # Above the box, or under it at the upper border: size pixels are the text's height.
        drop = -2 * line if y >= size + 2 * line else h + size + 2 * line
        text = f"{number}{{{_moved((max(x, 0), y + drop), (max(to[0], 0), to[1] + drop))}}}{track.prediction}"
        lines.append(f"Dialogue: 1,{times},{label},,0,0,0,,{text}\n")
    write_text(path, "".join(lines))


def save_webvtt(result: VideoResult, path: Path) -> None:
    """Write Web Video Text Tracks (W3C): the track's answer above each face. The format knows no boxes.

    Raises:
        OutputError: the file cannot be written.
    """
    width, height = result.width or 1, result.height or 1
    lines = [f"WEBVTT\n\nNOTE {REMARK}\n\nSTYLE\n"]
    lines += [f"::cue(.{label}) {{ color: {colour}; background-color: black }}\n" for label, colour in COLOURS.items()]
    for begin, end, sighting, track, _ in _cues(result):
        x, y, w, _ = sighting.face.box
        across = min(max(100 * (x + w / 2) / width, 0.0), 100.0)
        down = min(max(100 * y / height - 6, 0.0), 100.0)
        label = track.prediction.label
        lines.append(
            f"\ntrack {track.number}\n{_vtt_time(begin)} --> {_vtt_time(end)} position:{across:.1f}%,center "
            f"line:{down:.1f}% align:center size:30%\n<c.{label}>{track.prediction}</c>\n"
        )
    write_text(path, "".join(lines))


def renew_answers(path: Path, answers: Mapping[int, Prediction]) -> bool:
    """Give the cues of subtitles that a run made the answers to their tracks; what else is in the file stays.

    Args:
        path: as `save_ass` or `save_webvtt` has written it.
        answers: by the numbers of the tracks.

    Returns:
        Whether the file says which cue is of which track.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        before = path.read_bytes()
    except OSError:
        return False
    ass = path.suffix == ".ass"

    def renewed(found: re.Match[bytes]) -> bytes:
        answer = answers.get(int(found["track"]))
        if answer is None:
            return found[0]
        label, text = answer.label.encode(), str(answer).encode()
        if not ass:
            return b"%s<c.%s>%s</c>" % (found["head"], label, text)
        box = found["box"] or b""
        return b"%s%s%s%s%s" % (found["head"], label, box, found["way"], found["text"] if box else text)

    after, cues = (_ASS_CUE if ass else _VTT_CUE).subn(renewed, before)
    if after != before:
        with atomic_file(path) as temporary:
            temporary.write_bytes(after)
    return bool(cues) or (b"Dialogue:" if ass else b" --> ") not in before


def _cues(result: VideoResult) -> Iterator[_Cue]:
    """What is to be shown, in the order of time."""
    cues: list[_Cue] = []
    for track in result.tracks:
        for i, sighting in enumerate(track.sightings):
            after = track.sightings[i + 1] if i + 1 < len(track.sightings) else None
            end = sighting.time + sighting.span
            if after is not None and after.time - end > _AT_ONCE:
                after = None
            cues.append((sighting.time, end, sighting, track, after))
    yield from sorted(cues, key=lambda cue: (cue[0], cue[3].number))


def _moved(here: tuple[int, int], there: tuple[int, int]) -> str:
    if here == there:
        return f"\\pos({here[0]},{here[1]})"
    return f"\\move({here[0]},{here[1]},{there[0]},{there[1]})"


def _ass_time(seconds: float) -> str:
    hundredths = round(100 * seconds)
    return f"{hundredths // 360000}:{hundredths // 6000 % 60:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def _vtt_time(seconds: float) -> str:
    thousandths = round(1000 * seconds)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
