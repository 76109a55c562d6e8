"""Answers as a table for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from facegender.faces.types import LOW_QUALITY
from facegender.formats.records import Record, visible
from facegender.formats.registry import Writer
from facegender.formats.summary import Summary
from facegender.wording import counted

PERCEPTION_NOTE = "The answer is how a face is likely to be perceived, not who the person is."

#: Headings after the path: of photos with faces, of photos in one row, and of videos.
_HEADINGS = {
    "faces": ("face box", "score", "quality", "p_male", "answer"),
    "women": ("faces", "women", "men", "uncertain", ""),
    "tracks": ("on screen", "seconds", "quality", "p_male", "answer"),
}
#: Those of words. The others are of numbers.
_OF_WORDS = ("face box", "on screen", "answer", "")


class TableWriter(Writer):
    """A table with one row a face, a photo or a track, printed when the run ends, also when it ends early."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._summary = Summary()
        self._table = Table(show_edge=False, pad_edge=False)

    def write(self, record: Record) -> None:
        kind = next(kind for kind in ("women", "tracks", "faces") if kind in record)
        first = not self._summary.counts
        self._summary.add(record)
        if first:
            self._table.add_column(self._summary.nouns[0], overflow="fold")
            for heading in _HEADINGS[kind]:
                last = heading == _HEADINGS[kind][-1]  # it has reasons too, which may be long
                self._table.add_column(
                    heading,
                    justify="left" if heading in _OF_WORDS else "right",
                    no_wrap=not last,
                    overflow="fold" if last else "ellipsis",
                )
        path, blank = Text(visible(record["path"])), [""] * 4
        if (error := record["error"]) is not None:
            self._table.add_row(
                path, *blank, Text(f"cannot be read ({error['kind']}): {visible(error['message'])}", style="red")
            )
        elif kind == "women":
            self._table.add_row(path, *(str(record[heading]) for heading in _HEADINGS[kind] if heading), "")
        elif not record[kind]:
            self._table.add_row(path, *blank, Text("no face found", style="dim"))
        else:
            for item in record[kind]:
                self._table.add_row(path, *(_track_cells if kind == "tracks" else _face_cells)(item))

    def __exit__(self, *_: object) -> None:
        counts, (of_files, of_items) = self._summary.counts, self._summary.nouns
        if not counts:
            return
        footer = (
            f"{counted(counts['photos'], of_files)}, {counted(counts['faces'], of_items)}: "
            f"{counts['female']} female, {counts['male']} male, {counts['uncertain']} uncertain"
        )
        if counts["errors"]:
            footer += f"; {counted(counts['errors'], of_files)} could not be read"
        self._console.print(self._table)
        self._console.print()
        self._console.print(footer)
        for remark in self._summary.remarks():
            self._console.print(remark)
        if counts["faces"]:
            self._console.print(PERCEPTION_NOTE)


def _face_cells(face: Record) -> tuple[str | Text, ...]:
    x, y, width, height = face["box"]
    return f"{x:.0f},{y:.0f} {width:.0f}x{height:.0f}", f"{face['score']:.2f}", *_answer(face)


def _track_cells(track: Record) -> tuple[str | Text, ...]:
    return f"{_clock(track['begin'])} - {_clock(track['end'])}", f"{track['seconds']:.1f}", *_answer(track)


def _answer(item: Record) -> tuple[str | Text, str, str]:
    quality = f"{item['quality']:.2f}"
    return (
        quality if item["quality"] >= LOW_QUALITY else Text(f"{quality} low", style="yellow"),
        f"{item['p_male']:.3f}",
        item["label"],
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes // 60)}:{int(minutes % 60):02d}:{rest:04.1f}"
